import AngelCore
import AngelNN

/// What one of several processes holds of a parameter: an even part of its outputs or of its inputs.
struct ParameterPart {
  /// 0: outputs, 1: inputs.
  let axis: Int
  let place: Int
  let count: Int

  /// The shape of the whole parameter, given that of the part.
  func whole(_ shape: Shape) -> Shape {
    var whole = shape
    whole[axis] *= count
    return whole
  }

  /// The part of so many outputs or inputs.
  func range(of size: Int) -> Range<Int> { (size / count * place)..<(size / count * (place + 1)) }
}
