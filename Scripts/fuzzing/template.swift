import AngelCore

/// A chat template, rendered with a short conversation.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let source = String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
  guard let template = try? ChatTemplate(source) else { return 0 }
  let messages: [JSONValue] = [
    ["role": "system", "content": "Be brief."], ["role": "user", "content": "Hi <there> & 1"],
  ]
  guard let messages = try? messages.map({ try ChatMessage(json: $0) }) else { return 0 }
  _ = try? template.render(messages: messages)
  return 0
}
