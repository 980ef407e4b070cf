/// The bookkeeping of a page pool: blocks that tile the usable part of an arena, and the free ones by owner and size.
///
/// Two rules keep pages of one kind and let them change hands at once: a free block of a kind never contains a whole
/// page (whole free pages go back to nobody), and free neighbours of one owner are always merged.
/// So every page of a kind holds at least one live byte of that kind. Taking and giving back are O(1), unless nothing but the
/// rest of a request's own size class is left to be searched.
struct ArenaBlocks: ~Copyable {
  /// Blocks start and end on cache lines (and on the vectors of AVX-512).
  static let unitByteCount = 64
  static let unitsPerPage = Page.byteCount / unitByteCount

  private(set) var blocks: UnsafeMutablePointer<ArenaBlock>
  private var capacity = 1024
  private var recordCount = 0
  private var unusedRecord: Int32 = -1
  /// First and last block by address.
  private(set) var first: Int32 = -1
  private(set) var last: Int32 = -1
  /// Units covered by blocks.
  private(set) var length = 0
  /// Pages owned per kind.
  let pageCounts: UnsafeMutablePointer<Int>
  private let lists: UnsafeMutablePointer<FreeLists>
  private static let ownerCount = MemoryKind.allCases.count + 1

  init() {
    blocks = .allocate(capacity: capacity)
    pageCounts = .allocate(capacity: Self.ownerCount)
    pageCounts.initialize(repeating: 0, count: Self.ownerCount)
    lists = .allocate(capacity: Self.ownerCount)
    for owner in 0..<Self.ownerCount { (lists + owner).initialize(to: FreeLists()) }
  }

  deinit {
    lists.deinitialize(count: Self.ownerCount)
    lists.deallocate()
    pageCounts.deallocate()
    blocks.deallocate()
  }

  // MARK: Taking and giving back

  /// Takes a block of exactly `units` units for `kind`, with the pages that nobody owned before; nil when there is no room
  /// for it.
  mutating func take(_ units: Int, for kind: MemoryKind) -> (index: Int32, pages: Range<Int>)? {
    let owner = BlockOwner(kind)
    let index: Int32
    var pages = 0..<0
    if let found = lists[Int(owner.rawValue)].fit(units, in: blocks) {
      removeFree(found)
      index = found
    } else if let found = takePages(holding: units, for: owner) {
      (index, pages) = found
    } else {
      return nil
    }
    blocks[Int(index)].isFree = false
    blocks[Int(index)].generation &+= 1
    if blocks[Int(index)].length > units { giveTail(of: index, keeping: units) }
    return (index, pages)
  }

  /// Gives a used block back.
  mutating func give(_ index: Int32) {
    blocks[Int(index)].isFree = true
    blocks[Int(index)].generation &+= 1
    settle(merged(index))
  }

  /// Appends `pageCount` pages that nobody owns.
  mutating func extend(byPages pageCount: Int) {
    let index = makeRecord(
      offset: length, length: pageCount * Self.unitsPerPage, previous: last, next: -1, owner: .nobody)
    if last >= 0 { blocks[Int(last)].next = index } else { first = index }
    last = index
    length += pageCount * Self.unitsPerPage
    pageCounts[Int(BlockOwner.nobody.rawValue)] += pageCount
    insertFree(merged(index))
  }

  /// Whether `record` is the very use of a block that was taken with this generation at this offset.
  func isInUse(_ record: Int32, generation: UInt32, byteOffset: Int) -> Bool {
    guard record >= 0, Int(record) < recordCount else { return false }
    let block = blocks[Int(record)]
    return !block.isFree && block.generation == generation && block.offset * Self.unitByteCount == byteOffset
  }

  /// Free pages at the end that nobody owns: what an extension may count on.
  var trailingFreePages: Int {
    guard last >= 0, blocks[Int(last)].isFree, blocks[Int(last)].owner == .nobody else { return 0 }
    return blocks[Int(last)].length / Self.unitsPerPage
  }

  /// Pages that somebody owns.
  var ownedPageCount: Int { length / Self.unitsPerPage - pageCounts[Int(BlockOwner.nobody.rawValue)] }

  /// The longest free block of an owner's own pages, in units.
  func longestFree(of owner: BlockOwner) -> Int { lists[Int(owner.rawValue)].longest(in: blocks) }

  /// Up to `count` pages that nobody owns and that are wanted, those of the shortest runs first.
  func freePages(_ count: Int, where isWanted: (Int) -> Bool) -> [Int] {
    var pages: [Int] = []
    lists[Int(BlockOwner.nobody.rawValue)].forEach(in: blocks) { index in
      let block = blocks[Int(index)]
      let first = block.offset / Self.unitsPerPage
      let run = (first..<(first + block.length / Self.unitsPerPage)).reversed()
      pages += run.lazy.filter(isWanted).prefix(count - pages.count)
      return pages.count < count
    }
    return pages
  }

  /// The free blocks of one owner, with every link checked.
  func checkedFreeBlocks(of owner: BlockOwner) throws(MemoryError) -> Set<Int32> {
    try lists[Int(owner.rawValue)].checkedMembers(in: blocks)
  }

  // MARK: Whole pages

  /// Turns the tightest run of free pages that holds `units` into a free block of `owner`, merged and in no list.
  private mutating func takePages(holding units: Int, for owner: BlockOwner) -> (Int32, pages: Range<Int>)? {
    let runLength = (units + Self.unitsPerPage - 1) / Self.unitsPerPage * Self.unitsPerPage
    guard let index = lists[Int(BlockOwner.nobody.rawValue)].fit(runLength, in: blocks) else { return nil }
    removeFree(index)
    if blocks[Int(index)].length > runLength { insertFree(split(index, at: runLength)) }
    change(index, to: owner)
    let first = blocks[Int(index)].offset / Self.unitsPerPage
    return (merged(index), first..<(first + runLength / Self.unitsPerPage))
  }

  /// Cuts a used block to `units`; the rest becomes free.
  private mutating func giveTail(of index: Int32, keeping units: Int) {
    let tail = split(index, at: units)
    blocks[Int(tail)].isFree = true
    settle(merged(tail))
  }

  /// Puts a free block of a kind into its list, after handing its whole pages to nobody.
  private mutating func settle(_ index: Int32) {
    let (start, end) = (blocks[Int(index)].offset, blocks[Int(index)].offset + blocks[Int(index)].length)
    let firstPage = (start + Self.unitsPerPage - 1) / Self.unitsPerPage * Self.unitsPerPage
    let lastPage = end / Self.unitsPerPage * Self.unitsPerPage
    guard firstPage < lastPage else { return insertFree(index) }
    if lastPage < end { insertFree(split(index, at: lastPage - start)) }
    var run = index
    if firstPage > start {
      run = split(index, at: firstPage - start)
      insertFree(index)
    }
    change(run, to: .nobody)
    insertFree(merged(run))
  }

  private mutating func change(_ index: Int32, to owner: BlockOwner) {
    let pageCount = blocks[Int(index)].length / Self.unitsPerPage
    pageCounts[Int(blocks[Int(index)].owner.rawValue)] -= pageCount
    pageCounts[Int(owner.rawValue)] += pageCount
    blocks[Int(index)].owner = owner
  }

  // MARK: Links

  /// Joins a free block that is in no list with free neighbours of its owner; the result is in no list.
  private mutating func merged(_ index: Int32) -> Int32 {
    var result = index
    let previous = blocks[Int(index)].previous
    if previous >= 0, isFree(previous, as: index) {
      removeFree(previous)
      absorbNext(of: previous)
      result = previous
    }
    let next = blocks[Int(result)].next
    if next >= 0, isFree(next, as: result) {
      removeFree(next)
      absorbNext(of: result)
    }
    return result
  }

  private func isFree(_ index: Int32, as other: Int32) -> Bool {
    blocks[Int(index)].isFree && blocks[Int(index)].owner == blocks[Int(other)].owner
  }

  private mutating func absorbNext(of index: Int32) {
    let next = blocks[Int(index)].next
    let after = blocks[Int(next)].next
    blocks[Int(index)].length += blocks[Int(next)].length
    blocks[Int(index)].next = after
    if after >= 0 { blocks[Int(after)].previous = index } else { last = index }
    recycleRecord(next)
  }

  /// Cuts a block in two; returns the second part, in no list and of the same owner and use.
  private mutating func split(_ index: Int32, at units: Int) -> Int32 {
    let block = blocks[Int(index)]
    let tail = makeRecord(
      offset: block.offset + units, length: block.length - units, previous: index, next: block.next,
      owner: block.owner)
    blocks[Int(index)].length = units
    blocks[Int(index)].next = tail
    if block.next >= 0 { blocks[Int(block.next)].previous = tail } else { last = tail }
    return tail
  }

  private mutating func insertFree(_ index: Int32) {
    lists[Int(blocks[Int(index)].owner.rawValue)].insert(index, in: blocks)
  }

  private mutating func removeFree(_ index: Int32) {
    lists[Int(blocks[Int(index)].owner.rawValue)].remove(index, in: blocks)
  }

  // MARK: Records

  private mutating func makeRecord(offset: Int, length: Int, previous: Int32, next: Int32, owner: BlockOwner) -> Int32 {
    var block = ArenaBlock(
      offset: offset, length: length, previous: previous, next: next, owner: owner, isFree: true)
    if unusedRecord >= 0 {
      let index = unusedRecord
      unusedRecord = blocks[Int(index)].next
      block.generation = blocks[Int(index)].generation
      blocks[Int(index)] = block
      return index
    }
    if recordCount == capacity { growRecords() }
    (blocks + recordCount).initialize(to: block)
    recordCount += 1
    return Int32(recordCount - 1)
  }

  private mutating func recycleRecord(_ index: Int32) {
    blocks[Int(index)].generation &+= 1
    blocks[Int(index)].isFree = true
    blocks[Int(index)].next = unusedRecord
    unusedRecord = index
  }

  private mutating func growRecords() {
    let larger = UnsafeMutablePointer<ArenaBlock>.allocate(capacity: capacity * 2)
    larger.moveInitialize(from: blocks, count: recordCount)
    blocks.deallocate()
    blocks = larger
    capacity *= 2
  }
}
