import AngelCore
import CAngelShims

/// One request and its answer; receives libcurl's callbacks, all on the thread that runs it.
final class HTTPExchange {
  var head = HTTPResponseHead()
  private(set) var failure: (any Error)?
  private(set) var redirect: String?
  private let receiver: HTTPSession.Receiver
  private let interruption: Interruption
  private var hasBegun = false
  private var headBytes = 0
  private var label = ""
  private let earlier: HTTPResponseHead.HubHeaders
  private let isAtOrigin: Bool
  /// A head above this size is no file server's.
  private static let headLimit = 256 << 10

  init(
    _ receiver: HTTPSession.Receiver, _ earlier: HTTPResponseHead.HubHeaders, isAtOrigin: Bool,
    interruption: Interruption
  ) {
    self.receiver = receiver
    self.earlier = earlier
    self.isAtOrigin = isAtOrigin
    self.interruption = interruption
  }

  func run(
    _ request: HTTPRequest, on handle: OpaquePointer, _ patience: Patience, publicOnly: Bool
  ) -> (outcome: angel_curl_outcome, message: String, isPrivate: Bool) {
    label = ModelPull.withoutCredentials(request.url)
    var transfer = angel_curl_transfer()
    transfer.head_only = request.isHeadOnly ? 1 : 0
    transfer.low_speed_bytes = 1000
    transfer.low_speed_seconds = Int64(patience.stallSeconds)
    transfer.connect_seconds = Int64(patience.connectSeconds)
    transfer.public_only = publicOnly ? 1 : 0
    transfer.context = Unmanaged.passUnretained(self).toOpaque()
    transfer.header = { HTTPExchange.from($0)?.take(line: .init(start: $1, count: $2)) ?? 1 }
    transfer.body = { HTTPExchange.from($0)?.take(body: .init(start: $1, count: $2)) ?? 1 }
    transfer.poll = { HTTPExchange.from($0)?.poll() ?? 1 }
    transfer.redirect = { context, url in
      if let url { HTTPExchange.from(context)?.redirect = String(cString: url) }
    }
    var lines = request.headers + ["Accept-Encoding: identity"]
    if let authorization = request.authorization { lines.append("Authorization: " + authorization) }
    var result = angel_curl_result()
    let outcome = withExtendedLifetime(self) {
      Self.withTexts([request.url, "angel", request.range ?? ""] + lines) { texts in
        transfer.url = texts[0]
        transfer.user_agent = texts[1]
        if request.range != nil { transfer.range = texts[2] }
        return texts[3...].withUnsafeBufferPointer { headers in
          transfer.headers = headers.baseAddress
          transfer.header_count = headers.count
          return angel_curl_perform(handle, &transfer, &result)
        }
      }
    }
    let message = withUnsafeBytes(of: result.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return (outcome, message, result.is_private != 0)
  }

  /// Calls `body` with C strings that live as long as the call.
  private static func withTexts<Result>(_ texts: [String], _ body: ([UnsafePointer<CChar>?]) -> Result) -> Result {
    func next(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Result {
      guard index < texts.count else { return body(pointers) }
      return texts[index].withCString { next(index + 1, pointers + [$0]) }
    }
    return next(0, [])
  }

  private static func from(_ context: UnsafeMutableRawPointer?) -> HTTPExchange? {
    context.map { Unmanaged<HTTPExchange>.fromOpaque($0).takeUnretainedValue() }
  }

  private func poll() -> Int32 { interruption.isRequested || receiver.isCancelled() ? 1 : 0 }

  private func take(line: UnsafeRawBufferPointer) -> Int32 {
    headBytes += line.count
    guard headBytes <= Self.headLimit else {
      failure = StoreError.transfer(url: label, reason: "its answer has a head of more than \(Self.headLimit) bytes")
      return 1
    }
    head.take(String(decoding: line, as: UTF8.self))
    head.isFromOrigin = isAtOrigin
    // The empty line ends the head.
    if line.count <= 2 { head.keep(earlier) }
    return 0
  }

  private func take(body: UnsafeRawBufferPointer) -> Int32 {
    // The body of a redirect or an error is not the file.
    guard (200..<300).contains(head.status) else { return 0 }
    do {
      try beginIfDue()
      try receiver.take(body)
      return poll()
    } catch {
      failure = error
      return 1
    }
  }

  func beginIfDue() throws {
    guard !hasBegun, (200..<300).contains(head.status) else { return }
    hasBegun = true
    try receiver.begin(head)
  }
}
