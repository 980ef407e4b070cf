import Glibc

/// One reserved range of addresses whose pages become usable from the front, are touched once and stay until the end.
///
/// Releasing 4 MiB to the system and faulting it back costs 2 ms, so nothing is returned during a run; the pools above
/// reuse pages instead. Reserved but unused pages cost addresses only.
// SAFETY: all stored properties are constants but `usablePageCount`, which only `makeUsable` changes, and that is
// called under the owning pool's lock.
public final class HostArena: @unchecked Sendable {
  /// The largest budget that is accepted: 64 TiB, half of the user addresses of x86-64.
  public static let largestBudget = 1 << 46

  /// The first byte; aligned to `Page.hugePageByteCount`. Offsets of regions and blocks count from here.
  public let base: UnsafeMutableRawPointer
  /// Bytes that may become usable, a whole number of pages.
  public let budget: Int
  /// Pages usable so far; read and changed under the pool's lock (`MemoryUsage.touchedPageCount` for everyone else).
  private(set) var usablePageCount = 0
  private let mapping: UnsafeMutableRawPointer
  private let mappingByteCount: Int

  /// Reserves addresses for `budget` bytes, rounded down to whole pages (nil: `MachineMemory.current().defaultBudget`).
  public init(budget requested: Int? = nil) throws(MemoryError) {
    let wanted = requested ?? MachineMemory.current().defaultBudget
    guard wanted >= Page.byteCount, wanted <= Self.largestBudget else { throw .invalidBudget(wanted) }
    budget = wanted / Page.byteCount * Page.byteCount
    mappingByteCount = budget + Page.hugePageByteCount
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let mapping = mmap(nil, mappingByteCount, PROT_NONE, flags, -1, 0), mapping != MAP_FAILED else {
      throw .refused(call: "reserving addresses", byteCount: mappingByteCount, code: errno)
    }
    self.mapping = mapping
    base = mapping.alignedUp(toMultipleOf: Page.hugePageByteCount)
    // A wish: where huge pages are switched off the arena works with small ones.
    _ = madvise(base, budget, MADV_HUGEPAGE)
  }

  deinit { munmap(mapping, mappingByteCount) }

  /// Makes the next `pageCount` pages readable and writable, zero-filled and present.
  ///
  /// The caller has checked that the budget holds them and lets one thread in at a time.
  func makeUsable(pageCount: Int) throws(MemoryError) {
    let byteCount = pageCount * Page.byteCount
    let start = base + usablePageCount * Page.byteCount
    precondition(pageCount >= 0 && byteCount <= budget - usablePageCount * Page.byteCount, "beyond the arena's budget")
    guard mprotect(start, byteCount, PROT_READ | PROT_WRITE) == 0 else {
      throw .refused(call: "making pages usable", byteCount: byteCount, code: errno)
    }
    try touch(start, byteCount)
    usablePageCount += pageCount
  }

  private func touch(_ start: UnsafeMutableRawPointer, _ byteCount: Int) throws(MemoryError) {
    let populateWrite: Int32 = 23  // MADV_POPULATE_WRITE, Linux 5.14; absent from older headers
    var result = madvise(start, byteCount, populateWrite)
    while result != 0, errno == EINTR || errno == EAGAIN { result = madvise(start, byteCount, populateWrite) }
    if result == 0 { return }
    guard errno == EINVAL || errno == ENOSYS else {
      throw .refused(call: "touching pages", byteCount: byteCount, code: errno)
    }
    for offset in stride(from: 0, to: byteCount, by: 4096) {
      start.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
    }
  }
}
