import AngelCore
import AngelTesting
import Glibc
import Testing

@testable import AngelCheckpoint

@Suite("Downloads that were cut off")
struct StoreUnfinishedTests {
  let folder: TemporaryFolder
  let store: ModelStore

  init() throws {
    folder = try TemporaryFolder()
    store = ModelStore(root: folder("home"))
  }

  /// Parts as a pull leaves them: one of an address, two of a hub, one of before parts said what they belong to.
  private func leaveParts() throws {
    let state = DownloadState(validator: "\"v1\"", size: 9000, source: "http://host/m.gguf")
    try folder.write([UInt8](repeating: 1, count: 5000), to: "home/downloads/aa.part")
    try state.write(to: folder("home/downloads/aa.part.json"))
    try folder.write("hf:maker/model@v2\n".utf8, to: "home/downloads/hub-bb/lock")
    for name in ["x.part", "x.part.journal", "y.part"] {
      try folder.write([UInt8](repeating: 1, count: 20_000), to: "home/downloads/hub-bb/" + name)
    }
    try folder.write([UInt8](repeating: 1, count: 10), to: "home/downloads/cc.part")
  }

  private func age(_ name: String, days: Int) {
    let moment = timeval(tv_sec: time(nil) - days * 86_400, tv_usec: 0)
    _ = utimes(folder(name), [moment, moment])
  }

  @Test("each is told with its source, its bytes and its age, and removed by its source")
  func listed() throws {
    #expect(try store.unfinishedDownloads().isEmpty)
    try leaveParts()
    age("home/downloads/cc.part", days: 3)
    let found = try store.unfinishedDownloads()
    #expect(found.map(\.source) == ["cc.part", "hf:maker/model@v2", "http://host/m.gguf"])
    #expect(found[0].age / 86_400 == 3 && found[1].age < 600)
    #expect(found[1].bytes >= 60_000 && found[2].bytes >= 5000)
    #expect(try store.removeUnfinished("hf:maker/other") == nil)
    // A hub's parts are the repository's.
    #expect(try store.removeUnfinished("hf:maker/model:Q4_0") ?? 0 >= 60_000)
    #expect(try store.removeUnfinished("http://host/m.gguf") ?? 0 >= 5000)
    #expect(folder.files(below: "home/downloads") == ["home/downloads/cc.part"])
  }

  @Test("one that a pull is at work on stays")
  func busy() throws {
    try leaveParts()
    let lock = try OpenFile(updating: folder("home/downloads/hub-bb/lock"))
    let isLocked = lock.tryLock()
    #expect(isLocked)
    #expect(throws: StoreError.busy(folder("home/downloads/hub-bb/lock"))) {
      try store.removeUnfinished("hf:maker/model")
    }
    #expect(try store.unfinishedDownloads().count == 3)
    lock.unlock()
  }

  @Test("the next pull of anything removes what nobody has continued for a month, and nothing younger")
  func stale() throws {
    try leaveParts()
    age("home/downloads/cc.part", days: 31)
    for name in ["hub-bb", "hub-bb/lock", "hub-bb/x.part", "hub-bb/x.part.journal"] {
      age("home/downloads/" + name, days: 40)
    }
    // One file of these is young.
    age("home/downloads/hub-bb/y.part", days: 2)
    for name in ["aa.part", "aa.part.json"] { age("home/downloads/" + name, days: 29) }
    let source = try folder.write(storeSampleGGUF(), to: "m.gguf")
    _ = try ModelPull(store: store, environment: Environment([:]), interruption: Interruption()).run(
      ModelPull.Request(source: source))
    #expect(try store.unfinishedDownloads().map(\.source) == ["http://host/m.gguf", "hf:maker/model@v2"])
  }
}
