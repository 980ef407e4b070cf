import AngelCore
import AngelHCF
import AngelText
import Synchronization

/// Whether the engine really makes tokens: asked by having it make one. Questions that come together share an answer.
final class Readiness: Sendable {
  /// How long the engine may take.
  static let patience = 10.0

  private struct State {
    var waiting: [@Sendable (APIError?) -> Void] = []
    var deadline = Double.infinity
    /// Which question is under way: a late answer belongs to none.
    var round = 0
  }
  private let state = Mutex(State())

  /// Calls back with nil once a token has been made, or with the reason why there is none.
  func ask(_ engine: any ServingEngine, now: Double, _ answer: @escaping @Sendable (APIError?) -> Void) {
    let round = state.withLock { state -> Int? in
      state.waiting.append(answer)
      guard state.waiting.count == 1 else { return nil }
      state.deadline = now + Self.patience
      state.round += 1
      return state.round
    }
    guard let round else { return }
    var sampling = SamplingParameters.greedy
    sampling.maxTokens = 1
    var request = ServingRequest(prompt: [engine.tokenizer.beginToken ?? 0], sampling: sampling)
    // Before all that waits. Where the queue is full it is refused as every request is: the server is not ready for more.
    request.priority = -1 << 31
    do {
      _ = try engine.submit(request) { [self] event in
        switch event {
        case .done: finish(round, nil)
        case .failed(let error): finish(round, APICall.apiError(error))
        case .prompt, .piece, .finished: break
        }
      }
    } catch {
      finish(round, APICall.apiError(error))
    }
  }

  private func finish(_ round: Int?, _ error: APIError?) {
    let answers = state.withLock { state -> [@Sendable (APIError?) -> Void] in
      guard round == nil || round == state.round else { return [] }
      defer {
        state.waiting = []
        state.deadline = .infinity
        state.round += 1
      }
      return state.waiting
    }
    for answer in answers { answer(error) }
  }

  /// Gives up where the engine takes too long.
  func sweep(now: Double) {
    guard state.withLock({ now > $0.deadline }) else { return }
    finish(
      nil,
      APIError(
        status: 503, type: "server_error", "no token was made within \(Int(Self.patience)) s", code: "not_ready",
        retryAfter: 5))
  }
}
