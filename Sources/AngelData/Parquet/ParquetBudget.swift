import AngelCore

/// The bytes that the columns of a row group may hold together: the pages at hand and their dictionaries.
///
/// A page of zeros packs ten thousand to one, so that a small file with many columns could stand for more than memory holds.
final class ParquetBudget {
  /// Writers make pages, and dictionaries, of about a megabyte a column.
  static let limit = 1 << 30

  private let limit: Int
  private var left: Int

  init(_ limit: Int = limit) {
    self.limit = limit
    left = limit
  }

  func take(_ count: Int) throws(ParquetError) {
    guard count <= left else {
      throw .unread(
        "a row group whose pages and dictionaries take more than \(TextFormat.bytes(limit)) together",
        "write the file with pages of a megabyte, or with fewer columns")
    }
    left -= count
  }

  func giveBack(_ count: Int) { left += count }
}
