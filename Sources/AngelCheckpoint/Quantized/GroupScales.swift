import AngelCore

/// The scale of each output and group of inputs.
struct GroupScales: Sendable {
  let tensor: StoredBytes
  /// Elements from one output to the next, and from one group to the next.
  let outputStride: Int
  let groupStride: Int
  /// Outputs that share a scale.
  let outputsPerScale: Int
  private let type: ScaleType

  private enum ScaleType { case half, brain, single }

  /// Nil where the tensor's type is not one that scales have.
  init?(_ tensor: StoredBytes, outputStride: Int, groupStride: Int, outputsPerScale: Int = 1) {
    switch tensor.typeName {
    case "F16": type = .half
    case "BF16": type = .brain
    case "F32": type = .single
    default: return nil
    }
    self.tensor = tensor
    self.outputStride = outputStride
    self.groupStride = groupStride
    self.outputsPerScale = outputsPerScale
  }

  /// The types that scales may have.
  static let typeNames = ["F16", "BF16", "F32"]

  /// What all scales have in common.
  struct Survey {
    /// Whether float16 has every scale.
    var areHalf = true
    /// The largest magnitude.
    var largest: Float = 0
    /// The first that is not finite.
    var wrong: Float?
  }

  func survey() -> Survey {
    var survey = Survey()
    let reader = reader
    withExtendedLifetime(tensor.file) {
      for index in 0..<tensor.shape.elementCount {
        let value = reader.element(index)
        guard value.isFinite else {
          survey.wrong = value
          return
        }
        survey.largest = max(survey.largest, value.magnitude)
        if type != .half, Float(Float16(value)) != value { survey.areHalf = false }
      }
    }
    return survey
  }

  /// Access to the scales without checks; valid while the tensor's file lives.
  var reader: Reader { Reader(self) }

  struct Reader {
    private let base: UnsafeRawBufferPointer
    private let type: ScaleType
    private let outputStride: Int
    private let groupStride: Int
    private let outputsPerScale: Int

    fileprivate init(_ scales: GroupScales) {
      base = scales.tensor.bytes
      type = scales.type
      outputStride = scales.outputStride
      groupStride = scales.groupStride
      outputsPerScale = scales.outputsPerScale
    }

    @inline(__always)
    func scale(_ row: Int, _ group: Int) -> Float {
      let place = outputsPerScale == 1 ? row : row / outputsPerScale
      return element(place &* outputStride &+ group &* groupStride)
    }

    @inline(__always)
    fileprivate func element(_ index: Int) -> Float {
      switch type {
      case .half:
        let bits = base.loadUnaligned(fromByteOffset: 2 &* index, as: UInt16.self)
        return Float(Float16(bitPattern: UInt16(littleEndian: bits)))
      case .brain:
        let bits = base.loadUnaligned(fromByteOffset: 2 &* index, as: UInt16.self)
        return Float(bitPattern: UInt32(UInt16(littleEndian: bits)) << 16)
      case .single:
        let bits = base.loadUnaligned(fromByteOffset: 4 &* index, as: UInt32.self)
        return Float(bitPattern: UInt32(littleEndian: bits))
      }
    }
  }
}
