import AngelCore
import Synchronization

/// A model hub on 127.0.0.1: the list of a model's files on one port, large files on another, as the real ones do. It
/// misbehaves where a test asks it to.
public final class HubServer: Sendable {
  /// A file of the model.
  public struct File: Sendable {
    public let path: String
    public var bytes: [UInt8]
    /// The digest that the hub announces: SHA-256 for a large file, git's blob digest for a small one.
    public var digest: String
    /// The size that the hub announces, where it is not the true one.
    public var announcedSize: Int?
    /// Whether it lies on the other host.
    public var isLarge: Bool { digest.utf8.count == 64 }

    public init(_ path: String, _ bytes: [UInt8], digest: String) {
      self.path = path
      self.bytes = bytes
      self.digest = digest
    }
  }

  /// The model that is served.
  public struct Model: Sendable {
    public var repository = "maker/model"
    public var commit = "0123456789abcdef0123456789abcdef01234567"
    public var revisions = ["main"]
    public var license = "apache-2.0"
    public var files: [File]
    /// The token that is asked for; with `isGated` for the files alone.
    public var token: String?
    public var isGated = false
    /// Whether the list tells sizes and digests.
    public var tellsBlobs = true

    public init(_ files: [File]) { self.files = files }
  }

  /// A request as it came in, and what was sent for it.
  public struct Request: Sendable, Equatable {
    /// Which of the two ports it came to.
    public enum Host: Sendable { case hub, files }
    public let host: Host
    public let method: String
    /// Without the query.
    public let path: String
    public let range: String?
    public let authorization: String?
    /// Whether the request is one to a proxy, for another host.
    public let isProxied: Bool
    /// Bytes of the body that were sent.
    public internal(set) var sent = 0
  }

  /// What an answer does instead of being proper.
  public enum Trouble: Sendable {
    /// Closes the connection after so many bytes of the body.
    case cuts(after: Int)
    /// Announces so many bytes.
    case claims(length: Int)
    /// Sends a body whose first byte is another.
    case corrupts
    /// Another status with header lines.
    case status(Int, [String] = [])
    /// Sends the whole file, whatever range is asked for.
    case ignoresRange
    /// Sends another range than the one asked for.
    case shiftsRange
    case redirects(to: String)
    /// Sends so many bytes of the body and then nothing more.
    case stalls(after: Int)
    /// Announces another tag.
    case retags(String)
    /// A head that does not end.
    case endlessHead
  }

  private let ledger: HubLedger
  private let hub: LoopbackListener
  private let other: LoopbackListener

  public init(_ model: Model) throws {
    let ledger = HubLedger(model)
    self.ledger = ledger
    let other = try LoopbackListener { HubAnswer($0, .files, filesAddress: "", ledger)?.send() }
    let filesAddress = other.address
    self.other = other
    hub = try LoopbackListener { HubAnswer($0, .hub, filesAddress: filesAddress, ledger)?.send() }
  }

  /// What HF_ENDPOINT is to be.
  public var address: String { hub.address }
  /// Where large files lie.
  public var filesAddress: String { other.address }
  public var requests: [Request] { ledger.state.withLock(\.requests) }

  /// Changes the model from now on.
  public func change(_ body: (inout Model) -> Void) { ledger.state.withLock { body(&$0.model) } }

  /// Decides what goes wrong: by the request, and how often the same method and path have come, this time included.
  public func setTrouble(_ trouble: @escaping @Sendable (_ request: Request, _ count: Int) -> Trouble?) {
    ledger.state.withLock { $0.trouble = trouble }
  }

  /// Bytes of bodies sent for a file, on whichever host.
  public func bytesSent(of path: String) -> Int {
    let digest = ledger.state.withLock { state in state.model.files.first { $0.path == path }?.digest ?? path }
    return requests.filter { $0.path.hasSuffix("/" + path) || $0.path.hasSuffix(digest) }.reduce(0) { $0 + $1.sent }
  }
}

/// What the connections of a hub share.
final class HubLedger: Sendable {
  struct State {
    var model: HubServer.Model
    var requests: [HubServer.Request] = []
    var trouble: @Sendable (HubServer.Request, Int) -> HubServer.Trouble? = { _, _ in nil }
  }

  let state: Mutex<State>

  init(_ model: HubServer.Model) { state = Mutex(State(model: model)) }
}
