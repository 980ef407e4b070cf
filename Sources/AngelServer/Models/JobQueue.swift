import AngelCore
import Glibc
import Synchronization

/// Threads of their own that run jobs in the order they came.
final class JobQueue: Sendable {
  private let shared = Shared()

  /// What the threads share with their owner, who may go before they do.
  // SAFETY: the fields are touched between lock and unlock of the mutex alone.
  private final class Shared: @unchecked Sendable {
    private var mutex = pthread_mutex_t()
    private var condition = pthread_cond_t()
    private var jobs: [@Sendable () -> Void] = []
    private var next = 0
    private var isClosed = false
    private var threadCount = 0
    private var onEnd: [@Sendable () -> Void] = []

    init() {
      pthread_mutex_init(&mutex, nil)
      pthread_cond_init(&condition, nil)
    }

    deinit {
      pthread_cond_destroy(&condition)
      pthread_mutex_destroy(&mutex)
    }

    func enter() { locked { threadCount += 1 } }

    func add(_ job: @escaping @Sendable () -> Void) -> Bool {
      locked {
        guard !isClosed else { return false }
        jobs.append(job)
        pthread_cond_signal(&condition)
        return true
      }
    }

    /// The next job, waiting for one; nil when there will be none.
    func take() -> (@Sendable () -> Void)? {
      locked {
        while next == jobs.count {
          guard !isClosed else { return nil }
          pthread_cond_wait(&condition, &mutex)
        }
        defer {
          next += 1
          if next == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            next = 0
          }
        }
        return jobs[next]
      }
    }

    func leave() {
      let ends = locked { () -> [@Sendable () -> Void] in
        threadCount -= 1
        guard threadCount == 0 else { return [] }
        defer { onEnd = [] }
        return onEnd
      }
      for end in ends { end() }
    }

    func close(_ end: (@Sendable () -> Void)?) {
      let isOver = locked {
        isClosed = true
        pthread_cond_broadcast(&condition)
        if threadCount > 0, let end { onEnd.append(end) }
        return threadCount == 0
      }
      if isOver { end?() }
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
      pthread_mutex_lock(&mutex)
      defer { pthread_mutex_unlock(&mutex) }
      return body()
    }
  }

  init(threadCount: Int) throws(ThreadError) {
    for _ in 0..<threadCount {
      let shared = shared
      shared.enter()
      do throws(ThreadError) {
        _ = try DedicatedThread {
          while let job = shared.take() { job() }
          shared.leave()
        }
      } catch {
        shared.leave()
        shared.close(nil)
        throw error
      }
    }
  }

  /// The threads end once their jobs are done.
  deinit { shared.close(nil) }

  /// Runs `job` later on one of the threads; false when the queue is closed.
  func add(_ job: @escaping @Sendable () -> Void) -> Bool { shared.add(job) }

  /// Takes no more jobs, and calls back when those it has are done.
  func close(onEnd: @escaping @Sendable () -> Void) { shared.close(onEnd) }
}
