import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import Synchronization
import Testing

@Suite("The graph of gradients")
struct GradientGraphTests {
  @Test("constants build no graph")
  func constants() throws {
    let backend = try TestBackend.make()
    let x = Tensor([1.0, 2], on: backend)
    #expect(!(exp(x) * x).isTrainable)
    let y = x.asLeaf()
    #expect((y * x).isTrainable && !(y * x).detached.isTrainable && !(y.detached * x).isTrainable)
  }

  @Test("gradients of a tensor used several times are summed, those of unused ones are absent")
  func sums() throws {
    let backend = try TestBackend.make()
    let (x, unused) = (Tensor([1.0, 2], on: backend).asLeaf(), Tensor([1.0], on: backend).asLeaf())
    let gradients = try (x * x + x * 3 + x.detached * 5).sum().backward()
    #expect(try #require(gradients[x]).read() == [5.0, 7])
    #expect(gradients[unused] == nil)
  }

  @Test("a leaf's gradient is given as soon as no other part is to come")
  func early() throws {
    let backend = try TestBackend.make()
    let (first, last) = (Tensor([2.0], on: backend).asLeaf(), Tensor([3.0], on: backend).asLeaf())
    let middle = exp(first)
    var order: [[Double]] = []
    (middle * last).sum().backward { leaf, gradient in
      // The later product gives the gradient of `last` before the exponential has run.
      order.append((try? gradient.read()) ?? [])
    }
    #expect(order.count == 2 && abs(order[0][0] - 7.389056) < 1e-6 && abs(order[1][0] - 22.167168) < 1e-6)
  }

  @Test("activations are released as the pass goes")
  func release() throws {
    let backend = try TestBackend.make(threadCount: 1)
    let bytes = 1 << 20
    let leaf = Tensor([Float](repeating: 0.5, count: bytes / 4), on: backend).asLeaf()
    var x = exp(leaf)
    for _ in 0..<19 { x = exp(x * 0.01) }
    let loss = x.sum()
    x = leaf
    let forward = backend.activationBytes
    #expect(forward > 20 * bytes)
    var peak = 0
    loss.backward { _, _ in peak = max(peak, backend.activationBytes) }
    // The leaf, the results of the last operations to run, their gradients; nothing of the eighteen layers above.
    #expect(peak < 8 * bytes)
  }

  @Test("100,000 nodes run backward, and are released, on a stack of 512 KB", arguments: [true, false])
  func deep(runsBackward: Bool) throws {
    let backend = try TestBackend.make(threadCount: 1)
    let slope = Mutex(0.0)
    let thread = try DedicatedThread(stackByteCount: 512 << 10) {
      let leaf = Tensor([1.0], on: backend).asLeaf()
      let one = Tensor([1.0], on: backend)
      var x = leaf
      for _ in 0..<100_000 { x = x + one }
      guard runsBackward else { return }
      let gradients = try? x.sum().backward()
      slope.withLock { $0 = (try? gradients?[leaf]?.read())?[0] ?? -1 }
    }
    thread.join()
    #expect(slope.withLock { $0 } == (runsBackward ? 1 : 0))
    #expect(backend.activationBytes == 0)
  }

  @Test("gradients repeat bit for bit for any number of threads")
  func threads() throws {
    func gradients(_ threadCount: Int) throws -> [Float] {
      let backend = try TestBackend.make(threadCount: threadCount)
      let x = backend.random([300, 64], seed: 1).asLeaf()
      let w = backend.random([96, 64], seed: 2).asLeaf()
      let norm = backend.random([64], seed: 3).asLeaf()
      let y = x.rmsNormalized(weight: norm, epsilon: 1e-5).matmul(w, bias: nil)
      let result = try swiGLU(gate: y, up: y).softmax().squared().sum().backward()
      return try [x, w, norm].flatMap { try #require(result[$0]).read(as: Float.self) }
    }
    let reference = try gradients(1)
    #expect(try gradients(2) == reference && gradients(3) == reference)
  }

  @Test("an allocation beyond the budget during the pass is thrown by backward")
  func exhausted() throws {
    let backend = try CPUBackend(pool: .init(budget: 32 << 20), threadCount: 1)
    let x = Tensor([1 as Float, 2], shape: [2, 1], on: backend).asLeaf()
    let large = x.broadcast(to: [2, 2 << 20]).sum(over: 1)
    #expect(throws: BackendError.self) { _ = try (large * large).broadcast(to: [2, 4 << 20]).sum().backward() }
    #expect(try (x + x).read() == [2, 4] as [Float])
  }
}

extension CPUBackend {
  /// Bytes that live tensors take, whole blocks of the pool.
  var activationBytes: Int { pool.usage[.activations].byteCount }
}

@Suite("Recomputation")
struct RecomputationTests {
  @Test("gives the gradients of the input and of what the body captured, twice nested too")
  func gradients() throws {
    let backend = try TestBackend.make()
    func run(_ recomputes: Bool) throws -> [[Double]] {
      let (x, w) = (Tensor([0.5, -1], on: backend).asLeaf(), Tensor([2.0, 3], on: backend).asLeaf())
      let shared = exp(w)
      let inner: @Sendable (Tensor) -> Tensor = { tanh($0 * shared) + w }
      let outer: @Sendable (Tensor) -> Tensor = {
        (recomputes ? ($0 * w).recomputed(by: inner) : inner($0 * w)) * shared
      }
      let result = (recomputes ? (x * 2).recomputed(by: outer) : outer(x * 2)).sum() + shared.sum()
      let gradients = try result.backward()
      return try [x, w].map { try #require(gradients[$0]).read() }
    }
    #expect(try run(true) == run(false))
  }

  @Test("of a constant gives what the body captured its gradients, and a body without trainable parts no graph")
  func constants() throws {
    let backend = try TestBackend.make()
    let (x, w) = (Tensor([0.5, -1], on: backend), Tensor([2.0, 3], on: backend).asLeaf())
    let result = x.recomputed { $0 * w }.sum()
    #expect(try #require(result.backward()[w]).read() == [0.5, -1])
    #expect(!x.recomputed { $0 * 2 }.isTrainable)
    #expect(try #require(x.recomputed { _ in w }.sum().backward()[w]).read() == [1.0, 1])
  }

  @Test("keeps the input alone")
  func memory() throws {
    let backend = try TestBackend.make(threadCount: 1)
    let bytes = 1 << 20
    let leaf = Tensor([Float](repeating: 0.5, count: bytes / 4), on: backend).asLeaf()
    let before = backend.activationBytes
    let result = leaf.recomputed { x in (0..<10).reduce(x) { y, _ in exp(y * 0.1) } }
    #expect(backend.activationBytes - before < 2 * bytes)
    let gradient = try #require(result.sum().backward()[leaf]).read(as: Float.self)
    let kept = (0..<10).reduce(leaf) { y, _ in exp(y * 0.1) }
    #expect(try gradient == #require(kept.sum().backward()[leaf]).read())
  }
}
