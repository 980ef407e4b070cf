import AngelCore

/// A weight matrix in whole numbers or eight-bit floats with a scale for each group of inputs, as a file holds it.
///
/// w[n, k] = scale[n, g] · (code[n, k] − zero[n, g]), where g is the group of input k. What is read is w in the type of
/// `form`: a block format where one has the same values, else float16 or float32
/// (Documentation/Decisions/0223-quantised-folders.md).
struct QuantizedMatrix: Sendable {
  enum Values: Sendable {
    case codes(PackedCodes, GroupZeros)
    /// Bytes [outputs, inputs] of `Float8`.
    case float8(StoredBytes)
  }

  /// The name of the weight.
  let name: String
  /// The outputs and the inputs.
  let outputs: Int
  let inputs: Int
  let values: Values
  let scales: GroupScales
  let groups: InputGroups
  let form: Form

  /// What a matrix is held in.
  struct Form: Sendable, Hashable {
    let dtype: DType
    /// Why that is no block format; nil where it is one.
    let reason: Reason?
  }

  /// Why no block format has the same values.
  enum Reason: String, Sendable {
    case order = "groups of inputs in no order"
    case sizes = "groups or rows of no multiple of 32"
    case scales = "scales that float16 does not have"
    case zeros = "8 bits with zeros"
    case floats = "eight-bit floats"
  }

  /// The tensors that hold it.
  let stored: [StoredBytes]

  /// Checks the data that decide what it can be held in: groups, scales and zeros.
  ///
  /// - Parameters:
  ///   - shape: [outputs, inputs], in keeping with all tensors, whose bytes are those of their shapes.
  ///   - groupCount: of each output.
  init(
    _ name: String, shape: Shape, values: Values, scales: GroupScales, groups: InputGroups, groupCount: Int,
    stored: [StoredBytes], _ damaged: (String) -> CheckpointError
  ) throws(CheckpointError) {
    self.name = name
    (outputs, inputs) = (shape[0], shape[1])
    self.values = values
    self.scales = scales
    self.groups = groups
    self.stored = stored
    if let (input, group) = groups.wrong(inputs: inputs, count: groupCount) {
      throw damaged("\(quoted(name)) puts input \(input) into group \(group), but has the groups 0..<\(groupCount)")
    }
    let survey = scales.survey()
    if let wrong = survey.wrong { throw damaged("tensor \(quoted(scales.tensor.name)) has the scale \(wrong)") }
    form = Self.form(values, survey, groups, inputs: inputs)
    guard Shape(checking: [outputs, inputs, 4]) != nil else {
      throw damaged("\(quoted(name)) has \(outputs) x \(inputs) values, which is too many")
    }
  }

  private static func form(
    _ values: Values, _ survey: GroupScales.Survey, _ groups: InputGroups, inputs: Int
  ) -> Form {
    let (least, greatest, reason): (Float, Float, Reason)
    switch values {
    case .float8: (least, greatest, reason) = (-Float8.greatest, Float8.greatest, .floats)
    case .codes(let codes, let zeros):
      let zero = zeros.range()
      let (low, high) = (-zero.upperBound, 1 << codes.bits - 1 - zero.lowerBound)
      (least, greatest) = (Float(low), Float(high))
      if !survey.areHalf {
        reason = .scales
      } else if !groups.areWhole(blocks: 32, of: inputs) {
        if case .listed = groups, inputs % 32 == 0 { reason = .order } else { reason = .sizes }
      } else if let dtype = blocks(low...high) {
        return Form(dtype: dtype, reason: nil)
      } else {
        reason = .zeros
      }
    }
    let fits = survey.areHalf && survey.largest * max(-least, greatest) <= 65_504
    return Form(dtype: fits ? .float16 : .float32, reason: reason)
  }

  /// The smallest block format with a scale and no minimum that has these multiples of the scale.
  private static func blocks(_ range: ClosedRange<Int>) -> DType? {
    let formats: [(dtype: DType, values: ClosedRange<Int>)] = [(.q4_0, -8...7), (.q5_0, -16...15), (.q8_0, -128...127)]
    return formats.first { $0.values.contains(range.lowerBound) && $0.values.contains(range.upperBound) }?.dtype
  }
}

extension QuantizedMatrix {
  /// The same matrix held in another form, one that has its values as well.
  init(_ other: QuantizedMatrix, heldIn form: Form) {
    name = other.name
    outputs = other.outputs
    inputs = other.inputs
    values = other.values
    scales = other.scales
    groups = other.groups
    stored = other.stored
    self.form = form
  }

  /// Where it stands among forms: each has the values of those before it, rounded to float16 where it is that.
  var formRank: Int {
    switch form.dtype {
    case .q4_0: 0
    case .q5_0: 1
    case .q8_0: 2
    case .float16: 3
    default: 4
    }
  }

  var shape: Shape { [outputs, inputs] }
  var byteCount: Int { form.dtype.byteCount(of: outputs * inputs) }
  /// The bytes the files hold it in, scales and zeros included.
  var storedByteCount: Int { stored.reduce(0) { $0 + $1.range.count } }

  /// What the file holds, in words.
  var storedType: String {
    switch values {
    case .codes(let codes, _): "int\(codes.bits)"
    case .float8: "float8"
    }
  }

  /// Gives the memory of the files' pages back.
  func release() { for tensor in stored { tensor.file.release(tensor.range) } }
}
