import AngelCore
import CAngelShims

/// One request whose body is appended to a file as it arrives.
struct HTTPTransfer {
  enum Outcome {
    case complete
    /// The server has nothing from the start that was asked for on.
    case rangeRefused
    /// The connection failed on the way; another attempt may go on.
    case interrupted(reason: String)
  }

  static var isAvailable: Bool { angel_curl_available() != 0 }

  private let url: String
  private let label: String
  private let start: Int
  private let validator: String?
  private let descriptor: Int32
  private let path: String
  private let interruption: Interruption
  private let patience: Download.Patience

  init(
    url: String, start: Int, validator: String?, file: borrowing OpenFile, interruption: Interruption,
    patience: Download.Patience
  ) {
    self.url = url
    label = ModelPull.withoutCredentials(url)
    self.start = start
    self.validator = validator
    descriptor = file.descriptor
    path = file.path
    self.interruption = interruption
    self.patience = patience
  }

  /// Runs the request; `begin` is called once, before the first byte of the file's body is written.
  func run(progress: ProgressDisplay, begin: (HTTPResponseHead) throws(StoreError) -> Void) throws -> Outcome {
    try withoutActuallyEscaping(begin) { begin in
      let sink = TransferSink(
        label: label, start: start, descriptor: descriptor, path: path, interruption: interruption, progress: progress,
        begin: begin)
      var result = angel_curl_result()
      let outcome = perform(sink, &result)
      if let failure = sink.failure { throw failure }
      try interruption.check()
      let status = Int(result.status)
      if status == 416 { return .rangeRefused }
      guard status < 400 else { throw StoreError.httpStatus(url: label, status: status) }
      let message = Self.message(of: result)
      switch outcome {
      case ANGEL_CURL_OK:
        // A body of no bytes never reached the sink.
        if !sink.hasBegun { try begin(sink.head) }
        return .complete
      case ANGEL_CURL_INTERRUPTED: return .interrupted(reason: message)
      default: throw StoreError.transfer(url: label, reason: message)
      }
    }
  }

  private func perform(_ sink: TransferSink, _ result: inout angel_curl_result) -> angel_curl_outcome {
    var transfer = angel_curl_transfer()
    transfer.resume_from = Int64(start)
    transfer.low_speed_bytes = 1000
    transfer.low_speed_seconds = Int64(patience.stallSeconds)
    transfer.connect_seconds = Int64(patience.connectSeconds)
    transfer.context = Unmanaged.passUnretained(sink).toOpaque()
    transfer.header = { context, line, count in
      TransferSink.from(context)?.take(line: UnsafeRawBufferPointer(start: line, count: count)) ?? 1
    }
    transfer.body = { context, bytes, count in
      TransferSink.from(context)?.take(body: UnsafeRawBufferPointer(start: bytes, count: count)) ?? 1
    }
    transfer.poll = { context in TransferSink.from(context)?.poll() ?? 1 }
    let condition = start > 0 ? validator.map { "If-Range: \($0)" } : nil
    return withExtendedLifetime(sink) {
      url.withCString { url in
        "angel".withCString { agent in
          transfer.url = url
          transfer.user_agent = agent
          guard let condition else { return angel_curl_get(&transfer, &result) }
          return condition.withCString { header in
            transfer.extra_header = header
            return angel_curl_get(&transfer, &result)
          }
        }
      }
    }
  }

  private static func message(of result: angel_curl_result) -> String {
    withUnsafeBytes(of: result.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// Receives a transfer's callbacks, all on the thread that runs it.
private final class TransferSink {
  private(set) var head = HTTPResponseHead()
  private(set) var failure: (any Error)?
  private(set) var hasBegun = false
  private let label: String
  private let start: Int
  private let descriptor: Int32
  private let path: String
  private let interruption: Interruption
  private let progress: ProgressDisplay
  private let begin: (HTTPResponseHead) throws(StoreError) -> Void
  private var received = 0

  init(
    label: String, start: Int, descriptor: Int32, path: String, interruption: Interruption, progress: ProgressDisplay,
    begin: @escaping (HTTPResponseHead) throws(StoreError) -> Void
  ) {
    self.label = label
    self.start = start
    self.descriptor = descriptor
    self.path = path
    self.interruption = interruption
    self.progress = progress
    self.begin = begin
  }

  static func from(_ context: UnsafeMutableRawPointer?) -> TransferSink? {
    context.map { Unmanaged<TransferSink>.fromOpaque($0).takeUnretainedValue() }
  }

  func poll() -> Int32 { interruption.isRequested ? 1 : 0 }

  func take(line: UnsafeRawBufferPointer) -> Int32 {
    head.take(String(decoding: line, as: UTF8.self))
    return 0
  }

  func take(body: UnsafeRawBufferPointer) -> Int32 {
    // The body of a redirect or an error is not the file.
    guard (200..<300).contains(head.status) else { return 0 }
    do {
      if !hasBegun { try beginBody() }
      try OpenFile.write(body, to: descriptor, path: path)
      received += body.count
      if let size = head.size, base + received > size {
        throw StoreError.sizeMismatch(file: label, expected: size, actual: base + received)
      }
      progress.update(to: base + received, total: head.size)
      return 0
    } catch {
      failure = error
      return 1
    }
  }

  /// Where the body's first byte lies in the file.
  private var base: Int { head.restarts ? 0 : start }

  private func beginBody() throws {
    hasBegun = true
    if head.status == 206, head.rangeStart != start {
      throw StoreError.transfer(url: label, reason: "the server sent another range than the one asked for")
    }
    guard head.status == 200 || head.status == 206 else { throw StoreError.httpStatus(url: label, status: head.status) }
    try begin(head)
  }
}
