import AngelCheckpoint
import AngelCore
import Glibc

/// A run's folder: where its parts lie, and a lock so that one process at a time trains in it.
///
/// The lock is the system's, so it goes with its process however that ends. What a killed process left half written is
/// removed when the next one opens the folder.
final class RunFolder {
  let path: String
  private let descriptor: Int32

  var checkpoints: String { Self.checkpoints(in: path) }
  var tensorBoard: String { FilePath.join(path, "tensorboard") }
  var adapter: String { FilePath.join(path, "adapter") }
  var model: String { FilePath.join(path, "model") }
  var curves: String { FilePath.join(path, "curves.svg") }
  var report: String { FilePath.join(path, "report.html") }
  var recipe: String { FilePath.join(path, "resolved.yaml") }

  static func checkpoints(in path: String) -> String { FilePath.join(path, "checkpoints") }

  /// What is written when one of several processes is lost: the line that names it.
  static func lost(in path: String) -> String { FilePath.join(path, "lost.txt") }

  /// Makes and locks the folder; throws when another process holds it.
  init(_ path: String) throws {
    self.path = path
    try FileOperations.makeFolder(path)
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError.lastSystemError("open", path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw PTMError.recipe("'\(path)' is in use by another run: wait for it, or set output.folder")
    }
    try Self.removeUnfinished(in: path)
    try Self.removeUnfinished(in: checkpoints)
  }

  deinit { close(descriptor) }

  private static func removeUnfinished(in folder: String) throws {
    for name in FilePath.entries(of: folder) ?? [] where name.hasPrefix(".") {
      guard name.hasSuffix(".partial") || name.hasSuffix(".partial.old") else { continue }
      try FileOperations.remove(FilePath.join(folder, name))
    }
  }
}
