import AngelCore
import CPCRE2
import Glibc

/// A compiled PCRE2 pattern that cuts text. Immutable, so many encodes may match with it at once.
///
/// Patterns come from files written for Oniguruma; `OnigurumaDialect` rewrites what the two engines read differently.
final class SplitPattern: @unchecked Sendable {
  // SAFETY: `code` is written by init and only read afterwards; PCRE2 code blocks are thread-safe to match with.
  private let code: OpaquePointer
  private let isJustInTime: Bool
  /// The text of a rule that is no expression: found without the engine, which looks at the whole rest of a text.
  private let literal: [UInt8]?
  /// The pattern as the file has it, for errors.
  let source: String

  private static let longestPattern = 10_000

  init(_ rule: SplitRule) throws(TokenizerError) {
    let pattern: String
    var options = PCRE2_UTF | PCRE2_USE_OFFSET_LIMIT
    switch rule {
    case .expression(let text):
      source = text
      literal = nil
      // In Oniguruma's Ruby syntax ^ and $ always mean lines.
      options |= PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C
      pattern = try OnigurumaDialect.translate(text)
    case .literal(let text):
      source = text
      literal = Array(text.utf8)
      options |= PCRE2_LITERAL
      pattern = text
    }
    guard !pattern.isEmpty else { throw .pattern(source, reason: "it is empty") }
    guard pattern.utf8.count <= Self.longestPattern else {
      throw .pattern(String(source.prefix(60)) + "…", reason: "longer than \(Self.longestPattern) bytes")
    }
    code = try Self.compile(pattern, source, options)
    isJustInTime = pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE) == 0
  }

  deinit { pcre2_code_free_8(code) }

  /// How many places a match may start at before the work done so far is looked at.
  private static let window = 256

  /// The next match at or after `position`, or nil.
  ///
  /// A pattern can cost the whole rest of the text at every place without ever reaching the match limit, so the search
  /// goes by windows and stops when the time `memory` allows for this text is spent.
  func firstMatch(
    in text: UnsafeBufferPointer<UInt8>, from position: Int, _ memory: MatchMemory
  ) throws(TokenizerError) -> Range<Int>? {
    if let literal { return literal.withUnsafeBufferPointer { text.firstRange(of: $0, from: position) } }
    var start = position
    while true {
      let last = start + Self.window
      if let match = try match(in: text, from: start, startingBy: last, memory) {
        guard memory.allowsMore() else { throw .pattern(source, reason: "it takes too long for this text") }
        return match
      }
      guard last < text.count else { return nil }
      guard memory.allowsMore(afterWholeWindow: true) else {
        throw .pattern(source, reason: "it takes too long for this text")
      }
      start = last + 1
      while start < text.count, text[start] & 0xC0 == 0x80 { start += 1 }
    }
  }

  private func match(
    in text: UnsafeBufferPointer<UInt8>, from position: Int, startingBy last: Int, _ memory: MatchMemory
  ) throws(TokenizerError) -> Range<Int>? {
    pcre2_set_offset_limit_8(memory.context, last)
    let status =
      isJustInTime
      ? pcre2_jit_match_8(code, text.baseAddress, text.count, position, 0, memory.data, memory.context)
      : pcre2_match_8(
        code, text.baseAddress, text.count, position, PCRE2_NO_UTF_CHECK, memory.data, memory.context)
    if status == PCRE2_ERROR_NOMATCH { return nil }
    guard status >= 0, let offsets = pcre2_get_ovector_pointer_8(memory.data) else {
      throw .pattern(source, reason: Self.message(status))
    }
    // \K inside a look-ahead can set the start after the end, or both before where matching began.
    guard offsets[0] <= offsets[1], offsets[0] >= position, offsets[1] <= text.count else {
      throw .pattern(source, reason: "a match that starts outside its own text")
    }
    return offsets[0]..<offsets[1]
  }

  /// Whether `text` is a pattern the engine accepts.
  static func accepts(_ text: String) -> Bool {
    guard let code = try? compile(text, text, PCRE2_UTF | PCRE2_UCP) else { return false }
    pcre2_code_free_8(code)
    return true
  }

  private static func compile(
    _ pattern: String, _ source: String, _ options: UInt32
  ) throws(TokenizerError) -> OpaquePointer {
    var error: Int32 = 0
    var offset = 0
    let bytes = Array(pattern.utf8)
    guard let code = pcre2_compile_8(bytes, bytes.count, options, &error, &offset, nil) else {
      throw .pattern(source, reason: message(error))
    }
    return code
  }

  private static func message(_ status: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = pcre2_get_error_message_8(status, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, Int(count))), as: UTF8.self)
  }
}

/// What one encode needs to match patterns: result slots, a stack for compiled code, and the limits on work.
final class MatchMemory: @unchecked Sendable {
  // SAFETY: one encode owns it at a time; the pool hands it from thread to thread under a lock.
  let data: OpaquePointer
  let context: OpaquePointer
  private let stack: OpaquePointer

  /// Steps a match may take on a short text: a hostile pattern gives up within a fraction of a second.
  private static let stepLimit = 5_000_000

  init?() {
    guard let data = pcre2_match_data_create_8(1, nil) else { return nil }
    guard let context = pcre2_match_context_create_8(nil) else {
      pcre2_match_data_free_8(data)
      return nil
    }
    guard let stack = pcre2_jit_stack_create_8(32 << 10, 4 << 20, nil) else {
      pcre2_match_context_free_8(context)
      pcre2_match_data_free_8(data)
      return nil
    }
    pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack))
    pcre2_set_heap_limit_8(context, 64 << 10)
    self.data = data
    self.context = context
    self.stack = stack
  }

  /// Matches between two looks at the clock, which costs as much as several matches.
  private static let matchesPerLook = 64
  private var matchesLeft = 0
  /// Seconds of this thread's time at which matching gives up.
  private var deadline = 0.0

  /// Allows a text of `byteCount` bytes the work that an honest pattern may need: the known ones take 0.01 s a
  /// megabyte, a hostile one gets two seconds and two more a megabyte.
  func prepare(byteCount: Int) {
    pcre2_set_match_limit_8(context, UInt32(clamping: Self.stepLimit + 16 * byteCount))
    matchesLeft = Self.matchesPerLook
    deadline = ThreadClock.seconds() + 2 + 2 * Double(byteCount) / 1e6
  }

  /// Whether the text's time is not spent yet; most calls only count.
  func allowsMore(afterWholeWindow: Bool = false) -> Bool {
    matchesLeft -= afterWholeWindow ? 16 : 1
    guard matchesLeft <= 0 else { return true }
    matchesLeft = Self.matchesPerLook
    return ThreadClock.seconds() < deadline
  }

  deinit {
    pcre2_jit_stack_free_8(stack)
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(data)
  }
}
