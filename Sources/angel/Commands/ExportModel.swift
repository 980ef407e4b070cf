import AngelCheckpoint
import AngelCore

/// `angel models export`: copies a model out of the store.
enum ExportModel {
  static func run(_ model: String, _ target: String, _ arguments: Arguments, _ context: CommandContext) throws {
    let store = try context.store
    let display = context.progress.start("exporting \(model)", total: nil)
    var bytes = 0
    let path = try context.interruption.deferred {
      try store.export(model, to: target, replaces: arguments[ModelsCommand.force]) { copied, total in
        try context.interruption.check()
        bytes = total
        display.update(to: copied, total: total)
      }
    }
    display.finish()
    if context.printsJSON {
      return try context.print(["exported": .string(model), "path": .string(path), "bytes": .integer(bytes)])
    }
    try context.output.line("\(model) is at \(path) (\(TextFormat.bytes(bytes)))")
  }
}
