import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// Requests that a server steers elsewhere (CVE-2026-5530 in a model server's pull), and credentials that go along.
@Suite("Attacks on the store: redirects")
struct StoreRedirectTests {
  @Test(
    "redirects to other schemes, or from https to http, are refused",
    arguments: [
      ("https://h/x", "file:///etc/passwd"), ("http://h/x", "file:///etc/passwd"), ("http://h/x", "ftp://h/x"),
      ("http://h/x", "gopher://h/"), ("http://h/x", "dict://h/"), ("http://h/x", "unix:///x"),
      ("https://h/x", "http://h/x"),
      ("http://h/x", "//h/x"), ("http://h/x", ""),
    ])
  func schemes(source: String, target: String) {
    #expect(throws: StoreError.self) { try HTTPSession.check(redirect: target, from: source) }
  }

  @Test("redirects to http and https are followed", arguments: ["https://a/", "HTTPS://a/"])
  func goodSchemes(target: String) throws {
    try HTTPSession.check(redirect: target, from: "http://h/x")
    try HTTPSession.check(redirect: target, from: "https://h/x")
  }

  @Test(
    "addresses that are not for the public",
    arguments: [
      "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
      "100.64.0.1",
      "0.0.0.0", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
      "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "fec0::1", "localhost", "",
    ])
  func privateAddresses(address: String) { #expect(HTTPSession.isPrivate(address: address)) }

  @Test(
    "addresses that are",
    arguments: [
      "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
    ])
  func publicAddresses(address: String) { #expect(!HTTPSession.isPrivate(address: address)) }

  @Test(
    "where only public addresses may be connected to, this machine's own is not", .enabled(if: HTTPSession.isAvailable))
  func publicOnly() throws {
    let server = try LoopbackServer(["/": .init([1])])
    let session = try HTTPSession(interruption: Interruption(), patience: Patience())
    let run = { (publicOnly: Bool) in
      HTTPExchange(
        .init(begin: { _ in }, take: { _ in }), .init(), isAtOrigin: true, interruption: Interruption()
      ).run(HTTPRequest(url: server.address + "/"), on: session.handle, Patience(), publicOnly: publicOnly)
    }
    #expect(run(true).message.isEmpty == false && server.requests.isEmpty)
    let answer = run(false)
    #expect(answer.isPrivate && server.requests.count == 1)
  }

  @Test(
    "host and port decide where the token goes",
    arguments: [
      ("https://Hub.co/a", "https://hub.co:443/b", true), ("http://h/", "http://h:80", true),
      ("http://u:p@h/", "http://h/x?y", true),
      ("https://hub.co/", "https://hub.co.evil/", false), ("https://hub.co/", "https://hub.co:444/", false),
      ("https://hub.co/", "http://hub.co/", false), ("https://hub.co/", "https://hub.co@evil/", false),
      ("https://hub.co/", "https://evil/?https://hub.co/", false), ("https://hub.co/", "https://evil#hub.co", false),
    ])
  func origins(one: String, other: String, isSame: Bool) {
    #expect((HTTPSession.origin(of: one) == HTTPSession.origin(of: other)) == isSame)
  }

  @Test(
    "a token that went to another host's redirect does not come back with it", .enabled(if: HTTPSession.isAvailable))
  func roundTrip() throws {
    let hub = try HubFixture { $0.token = "hf_secret" }
    let address = hub.server.address
    hub.server.setTrouble { request, _ in
      request.host == .files ? .redirects(to: address + "/stolen") : nil
    }
    #expect(throws: (any Error).self) { try hub.pull(variables: ["HF_TOKEN": "hf_secret"]) }
    let stolen = hub.server.requests.filter { $0.path == "/stolen" }
    #expect(!stolen.isEmpty && stolen.allSatisfy { $0.authorization == nil })
  }
}
