import AngelCore
import AngelData

/// Which rows of a step one of several processes reads: arithmetic in the step's batches, so nothing is dealt out by anyone.
///
/// Of A batches and D processes, g = gcd(A, D) groups of processes read whole batches in turn, and the D / g processes of a
/// group share the sequences of each. Processes that follow one another read rows that follow one another, so sums by rank
/// are sums by batch: with whole batches (A a multiple of D) they are the sums of one process.
struct RowShare {
  let place: Int
  let count: Int

  func passes(of batches: [TokenBatch]) -> [StepPass] {
    let groups = batches.count.greatestCommonDivisor(with: count)
    let sharers = count / groups
    let (group, part) = place.quotientAndRemainder(dividingBy: sharers)
    return stride(from: group, to: batches.count, by: groups).map { pass(batches[$0], part, of: sharers) }
  }

  private func pass(_ batch: TokenBatch, _ part: Int, of parts: Int) -> StepPass {
    let (first, next) = (batch.sequenceCount * part / parts, batch.sequenceCount * (part + 1) / parts)
    guard first < next else {
      // The same operations in the same order as the others have, on rows without weight.
      return StepPass(batch: batch.sequences(0..<1).unweighted, counts: false)
    }
    return StepPass(batch: batch.sequences(first..<next))
  }
}
