import AngelCore

/// A recipe, as text and laid over by an argument.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = Array(UnsafeBufferPointer(start: bytes, count: count))
  let origin = { (line: Int, column: Int) in
    // What a message relies on: places inside the text.
    precondition(line >= 1 && column >= 1 && line <= count + 2)
    return RecipeOrigin.file(path: "fuzz.yaml", line: line, column: column)
  }
  guard let recipe = try? RecipeParser.parse(text, origin: origin) else { return 0 }
  _ = try? recipe.overlaid(with: "model.layers=2")
  _ = try? RecipeNode.empty.overlaid(with: String(decoding: text.prefix(200), as: UTF8.self))
  return 0
}
