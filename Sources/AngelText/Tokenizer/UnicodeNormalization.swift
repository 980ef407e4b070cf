import CUTF8Proc

/// Unicode normalisation (UAX #15) by utf8proc's tables, linear in the text.
///
/// `utf8proc_map` orders combining marks by exchanging neighbours, quadratic for a long run of them, so the marks are
/// sorted here and only decomposition and composition are left to the library.
enum UnicodeNormalization {
  static func normalize(_ text: [UInt8], to form: UnicodeForm) throws(TokenizerError) -> [UInt8] {
    if isUnchanged(text, form) { return text }
    var scalars = try decompose(text, form)
    order(&scalars)
    if form == .nfc || form == .nfkc {
      let count = scalars.withUnsafeMutableBufferPointer {
        utf8proc_normalize_utf32(
          $0.baseAddress, $0.count, utf8proc_option_t(UTF8PROC_COMPOSE.rawValue | UTF8PROC_STABLE.rawValue))
      }
      guard count >= 0 else { throw failure(form, count) }
      scalars.removeSubrange(count...)
    }
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    for value in scalars {
      guard let scalar = Unicode.Scalar(UInt32(bitPattern: value)) else { continue }
      output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
    return output
  }

  /// ASCII never changes, and composed forms leave everything below U+0300 (NFC) alone.
  private static func isUnchanged(_ text: [UInt8], _ form: UnicodeForm) -> Bool {
    let limit: UInt8 = form == .nfc ? 0xCC : 0x80
    return text.allSatisfy { $0 < limit || (form == .nfc && $0 & 0xC0 == 0x80) }
  }

  private static func decompose(_ text: [UInt8], _ form: UnicodeForm) throws(TokenizerError) -> [Int32] {
    var options = UTF8PROC_DECOMPOSE.rawValue | UTF8PROC_STABLE.rawValue
    if form == .nfkc || form == .nfkd { options |= UTF8PROC_COMPAT.rawValue }
    var output: [Int32] = []
    output.reserveCapacity(text.count)
    var buffer = [Int32](repeating: 0, count: 32)
    var boundary: Int32 = 0
    for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
      if scalar.value < 0x80 || isTooNew(Int32(bitPattern: scalar.value)) {
        output.append(Int32(scalar.value))
        continue
      }
      let count = utf8proc_decompose_char(
        Int32(scalar.value), &buffer, buffer.count, utf8proc_option_t(options), &boundary)
      guard count >= 0, count <= buffer.count else { throw failure(form, count) }
      output.append(contentsOf: buffer[..<count])
    }
    return output
  }

  /// Puts each run of combining marks in the order of their classes, marks of one class staying in place.
  private static func order(_ scalars: inout [Int32]) {
    var start = 0
    while start < scalars.count {
      guard combiningClass(scalars[start]) != 0 else {
        start += 1
        continue
      }
      var end = start + 1
      while end < scalars.count, combiningClass(scalars[end]) != 0 { end += 1 }
      if end - start > 1 {
        // The position breaks ties, so the sort need not be stable.
        let sorted = scalars[start..<end].enumerated().sorted {
          (combiningClass($0.element), $0.offset) < (combiningClass($1.element), $1.offset)
        }
        for (offset, item) in sorted.enumerated() { scalars[start + offset] = item.element }
      }
      start = end
    }
  }

  private static func combiningClass(_ scalar: Int32) -> UInt16 {
    guard scalar >= 0x300 else { return 0 }
    let value = UInt16(bitPattern: utf8proc_get_property(scalar).pointee.combining_class)
    return value == 0 || isTooNew(scalar) ? 0 : value
  }

  /// The reference library's tables are those of Unicode 9: younger characters stay what and where they are.
  private static func isTooNew(_ scalar: Int32) -> Bool {
    // Nothing below the Georgian capitals of Unicode 11 that is younger decomposes.
    scalar >= 0x1C90 && !CharacterRewriting.isKnown(UInt32(bitPattern: scalar), toUnicode: 9)
  }

  private static func failure(_ form: UnicodeForm, _ status: Int) -> TokenizerError {
    .normalization(form: form.rawValue, reason: String(cString: utf8proc_errmsg(status)))
  }
}
