import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// Heads and lists as a hostile server may write them.
@Suite("Attacks on the store: answers")
struct StoreAnswerMutationTests {
  @Test("lying numbers in a head are not believed")
  func headNumbers() {
    for value in ["-1", "+5", " ", "5x", "0x10", "99999999999999999999", "1e3", "٣"] {
      var head = HTTPResponseHead()
      for line in ["HTTP/1.1 200 OK", "Content-Length: \(value)", "X-Linked-Size: \(value)", "Retry-After: \(value)"] {
        head.take(line)
      }
      #expect(head.size == nil && head.hub.linkedSize == nil && head.wait(now: 0) == nil, "\(value)")
    }
    for line in ["HTTP/1.1", "HTTP/1.1 -200", "HTTP/1.1 99999", "HTTP/1.1 20", "HTTP/"] {
      var head = HTTPResponseHead()
      head.take(line)
      #expect(head.status == 0)
    }
    for range in [
      "bytes -5-9/10", "bytes */10", "bytes 5", "items 1-2/3", "bytes 5-9", "bytes 99999999999999999999-9/10",
    ] {
      var head = HTTPResponseHead()
      for line in ["HTTP/1.1 206 Partial", "Content-Range: \(range)"] { head.take(line) }
      #expect(head.rangeStart == nil, "\(range)")
    }
  }

  @Test(
    "the wait that a server asks for",
    arguments: [
      ("Retry-After: 120", 120), ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 37),
      ("retry-after: Sun, 06 Nov 1994 08:48:00 GMT", 0),
      ("RateLimit: \"api\";r=0;t=55", 55), ("RateLimit: \"api\"; r=0; t=7", 7), ("RateLimit: \"api\";r=3;t=55", nil),
      ("Retry-After: Sunday", nil), ("Retry-After: Sun, 06 Foo 1994 08:49:37 GMT", nil), ("RateLimit: r=0", nil),
      ("Retry-After: Sun, 99 Nov 99999999999 08:49:37 GMT", nil),
    ])
  func wait(line: String, seconds: Int?) {
    var head = HTTPResponseHead()
    for line in ["HTTP/1.1 429 Busy", line] { head.take(line) }
    #expect(head.wait(now: 784_111_740) == seconds)
  }

  @Test("mutated heads are read without a trap")
  func headMutations() {
    let seed = [
      "HTTP/1.1 206 Partial Content", "Content-Range: bytes 5-9/10", "Content-Length: 5", "ETag: W/\"x\"",
      "Retry-After: 5",
      "RateLimit: \"a\";r=0;t=5", "X-Linked-Size: 7", "X-Linked-Etag: \"y\"",
    ].map { Array($0.utf8) }
    var random = SplitMix(state: 11)
    for _ in 0..<(Environment.current().runsAllTests ? 20_000 : 2_000) {
      var head = HTTPResponseHead()
      for line in seed { head.take(String(decoding: storeMutated(line, using: &random), as: UTF8.self)) }
      #expect((head.size ?? 0) >= 0 && (head.rangeStart ?? 0) >= 0 && (head.wait(now: 0) ?? 0) >= 0)
      _ = (head.validator, head.contentTag)
    }
  }

  @Test("mutated lists of a hub give a model or an error, and no file that may not be written")
  func listMutations() throws {
    let seed = Array(
      (#"{"sha":"0123456789abcdef0123456789abcdef01234567","cardData":{"license":"mit"},"siblings":[{"rfilename":"config.json","#
        + #""size":2,"blobId":"ce013625030ba8dba906f756967f9e9ca394464a"},{"rfilename":"m.safetensors","size":9,"lfs":{"sha256":"#
        + #""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":9}}]}"#).utf8)
    let reference = try HubReference("hf:a/b")
    var random = SplitMix(state: 13)
    var readable = 0
    for _ in 0..<(Environment.current().runsAllTests ? 20_000 : 2_000) {
      guard let json = try? JSONValue(parsing: storeMutated(seed, using: &random)),
        let model = try? HubModel(json: json, repository: "a/b")
      else { continue }
      readable += 1
      #expect(HubModel.isHexadecimal(model.commit, count: 40))
      _ = try? HubSelection(model.files, for: reference)
    }
    #expect(readable > 0)
  }

  @Test("deeply nested, endless and duplicate JSON costs an error, not the stack")
  func nestedJSON() {
    for text in [
      String(repeating: "[", count: 1_000_000), String(repeating: "{\"a\":", count: 1_000_000), "[1e99999999999]",
      "\"\\ud800\"",
      "{\"siblings\":[" + String(repeating: "{},", count: 1000),
    ] {
      #expect(throws: (any Error).self) {
        let json = try JSONValue(parsing: text)
        _ = try HubModel(json: json, repository: "a/b")
      }
    }
  }
}

/// A copy of `seed` with up to three changes.
func storeMutated(_ seed: [UInt8], using random: inout SplitMix) -> [UInt8] {
  var bytes = seed
  for _ in 0...Int.random(in: 0..<3, using: &random) {
    let place = Int.random(in: 0..<bytes.count, using: &random)
    switch Int.random(in: 0..<5, using: &random) {
    case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
    case 1: bytes[place] = Array("/.\"-0{}[]:".utf8).randomElement(using: &random) ?? 0
    case 2: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 3: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...8, using: &random)))
    default: bytes.insert(contentsOf: Array("../".utf8), at: place)
    }
    if bytes.isEmpty { bytes = [0] }
  }
  return bytes
}
