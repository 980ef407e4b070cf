import CAngelShims
import Glibc

/// One reserved range of addresses, of which some pages hold memory.
///
/// Memory is touched once and stays until the end: releasing 4 MiB to the system and faulting it back costs 2 ms and more.
/// But it may be moved, which costs microseconds: free pages between used ones need not lie idle while a longer run is
/// wanted. Addresses without memory cost nothing, so there are more of them than memory.
// SAFETY: all stored properties are constants but those that say which pages hold memory, which change only in `touch` and
// `move`, and these are called under the owning pool's lock.
public final class HostArena: @unchecked Sendable {
  /// The largest budget that is accepted: 64 TiB, half of the user addresses of x86-64.
  public static let largestBudget = 1 << 46

  /// The first byte; aligned to `Page.hugePageByteCount`. Offsets of regions and blocks count from here.
  public let base: UnsafeMutableRawPointer
  /// Bytes that may hold memory, a whole number of pages.
  public let budget: Int
  /// Pages that have addresses.
  let addressPageCount: Int
  /// Pages that hold memory; read and changed under the pool's lock (`MemoryUsage.touchedPageCount` for everyone else).
  private(set) var residentPageCount = 0
  /// Whether each page holds memory, as far as one ever did.
  private var residency: [Bool] = []
  /// Pages from the base on that may be written.
  private var usablePageCount = 0
  /// Nil where the arena is imagined.
  private let mapping: UnsafeMutableRawBufferPointer?

  /// Reserves addresses for `budget` bytes, rounded down to whole pages (nil: `MachineMemory.current().defaultBudget`).
  public init(budget requested: Int? = nil) throws(MemoryError) {
    let wanted = requested ?? MachineMemory.current().defaultBudget
    guard wanted >= Page.byteCount, wanted <= Self.largestBudget else { throw .invalidBudget(wanted) }
    budget = wanted / Page.byteCount * Page.byteCount
    // Where addresses are limited (`ulimit -v`) there are as many as there may be memory.
    let sizes = [Self.addressShare * min(budget, Self.largestBudget / Self.addressShare), budget]
    guard let (mapping, size) = sizes.lazy.compactMap({ size in Self.map(size).map { ($0, size) } }).first else {
      throw .refused(call: "reserving addresses", byteCount: budget, code: errno)
    }
    self.mapping = mapping
    addressPageCount = size / Page.byteCount
    base = mapping.baseAddress?.alignedUp(toMultipleOf: Page.hugePageByteCount) ?? Self.nowhere
    // A wish: where huge pages are switched off the arena works with small ones.
    _ = madvise(base, size, MADV_HUGEPAGE)
  }

  private init() {
    budget = Self.largestBudget
    addressPageCount = budget / Page.byteCount
    base = Self.nowhere
    mapping = nil
  }

  /// An arena without memory, whose addresses lead nowhere: a pool over it says what one would take.
  public static var imagined: HostArena { HostArena() }

  deinit { if let mapping { munmap(mapping.baseAddress, mapping.count) } }

  /// Pages of addresses to one of memory: runs of pages keep their order, so that a long one finds room beside free pages whose
  /// memory it takes.
  private static let addressShare = 2
  private static var nowhere: UnsafeMutableRawPointer {
    guard let address = UnsafeMutableRawPointer(bitPattern: Page.hugePageByteCount) else {
      preconditionFailure("2 MiB are not zero")
    }
    return address
  }

  private static func map(_ size: Int) -> UnsafeMutableRawBufferPointer? {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    let count = size + Page.hugePageByteCount
    guard let start = mmap(nil, count, PROT_NONE, flags, -1, 0), start != MAP_FAILED else { return nil }
    return UnsafeMutableRawBufferPointer(start: start, count: count)
  }

  // MARK: Memory

  /// Whether page `page` holds memory.
  func isResident(_ page: Int) -> Bool { page < residency.count && residency[page] }

  /// Gives page `page` memory, zero-filled and present.
  ///
  /// The caller has checked that the budget holds it and lets one thread in at a time.
  func touch(_ page: Int) throws(MemoryError) {
    precondition(!isResident(page) && residentPageCount < budget / Page.byteCount, "beyond the arena's budget")
    try makeUsable(through: page)
    if mapping != nil { try fault(base + page * Page.byteCount) }
    mark(page, true)
    residentPageCount += 1
  }

  /// Moves the memory of page `donor`, which nobody uses, to page `page`, which has none; its bytes are undefined.
  func move(from donor: Int, to page: Int) throws(MemoryError) {
    precondition(isResident(donor) && !isResident(page), "memory of page \(donor) for page \(page)")
    let (from, to) = (base + donor * Page.byteCount, base + page * Page.byteCount)
    if mapping != nil, angel_move_pages(from, to, Page.byteCount) != 0 {
      // An older kernel, or one that has no more mappings for us.
      _ = madvise(from, Page.byteCount, MADV_DONTNEED)
      try makeUsable(through: page)
      try fault(to)
    }
    mark(donor, false)
    mark(page, true)
  }

  private func mark(_ page: Int, _ isResident: Bool) {
    if page >= residency.count { residency += repeatElement(false, count: page + 1 - residency.count) }
    residency[page] = isResident
  }

  /// Lets pages up to `page` be written; those to which memory was moved may be already.
  private func makeUsable(through page: Int) throws(MemoryError) {
    guard page >= usablePageCount else { return }
    let count = (page + 1 - usablePageCount) * Page.byteCount
    if mapping != nil, mprotect(base + usablePageCount * Page.byteCount, count, PROT_READ | PROT_WRITE) != 0 {
      throw .refused(call: "making pages usable", byteCount: count, code: errno)
    }
    usablePageCount = page + 1
  }

  private func fault(_ start: UnsafeMutableRawPointer) throws(MemoryError) {
    let populateWrite: Int32 = 23  // MADV_POPULATE_WRITE, Linux 5.14; absent from older headers
    var result = madvise(start, Page.byteCount, populateWrite)
    while result != 0, errno == EINTR || errno == EAGAIN { result = madvise(start, Page.byteCount, populateWrite) }
    if result == 0 { return }
    guard errno == EINVAL || errno == ENOSYS else {
      throw .refused(call: "touching pages", byteCount: Page.byteCount, code: errno)
    }
    for offset in stride(from: 0, to: Page.byteCount, by: 4096) {
      start.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
    }
  }
}
