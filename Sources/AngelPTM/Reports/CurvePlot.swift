import AngelCore

/// Curves of a run as an SVG picture: loss by step, with validation, and the learning rate below.
public struct CurvePlot {
  /// A line or a row of points.
  public struct Series: Sendable {
    public var name: String
    /// A CSS colour.
    public var color: String
    public var points: [(x: Double, y: Double)]
    /// Whether points are drawn as dots too.
    public var hasDots = false

    public init(name: String, color: String, points: [(x: Double, y: Double)], hasDots: Bool = false) {
      self.name = name
      self.color = color
      self.points = points.filter { $0.y.isFinite }
      self.hasDots = hasDots
    }
  }

  private let title: String
  private let series: [Series]
  private static let size = (width: 760.0, height: 360.0)
  private static let margin = (left: 64.0, right: 16.0, top: 34.0, bottom: 40.0)

  public init(title: String, series: [Series]) {
    self.title = title
    self.series = series.filter { !$0.points.isEmpty }
  }

  /// The picture, a whole SVG document.
  public var svg: String {
    let (width, height) = Self.size
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(width)) \(Int(height))" font-family="sans-serif" \
      font-size="12">
      <rect width="100%" height="100%" fill="white"/>
      <text x="\(Self.margin.left)" y="20" font-size="14" font-weight="600">\(Self.escaped(title))</text>

      """
    let points = series.flatMap(\.points)
    guard let firstPoint = points.first else { return text + "<text x=\"64\" y=\"60\">no data yet</text>\n</svg>\n" }
    let x = Axis(points.map(\.x).reduce(firstPoint.x, min), points.map(\.x).reduce(firstPoint.x, max))
    let y = Axis(points.map(\.y).reduce(firstPoint.y, min), points.map(\.y).reduce(firstPoint.y, max))
    text += grid(x, y)
    for (index, line) in series.enumerated() { text += drawing(line, x, y) + legend(line, at: index) }
    return text + "</svg>\n"
  }

  private func place(_ point: (x: Double, y: Double), _ x: Axis, _ y: Axis) -> String {
    let inner = (
      width: Self.size.width - Self.margin.left - Self.margin.right,
      height: Self.size.height - Self.margin.top - Self.margin.bottom
    )
    let left = Self.margin.left + x.share(point.x) * inner.width
    let top = Self.margin.top + (1 - y.share(point.y)) * inner.height
    return TextFormat.fixed(left, digits: 1) + "," + TextFormat.fixed(top, digits: 1)
  }

  private func drawing(_ line: Series, _ x: Axis, _ y: Axis) -> String {
    let places = Self.thinned(line.points).map { place($0, x, y) }
    var text =
      "<polyline fill=\"none\" stroke=\"\(line.color)\" stroke-width=\"1.6\" points=\"\(places.joined(separator: " "))\"/>\n"
    guard line.hasDots || places.count == 1 else { return text }
    for place in places {
      let parts = place.split(separator: ",")
      text += "<circle cx=\"\(parts[0])\" cy=\"\(parts[1])\" r=\"3\" fill=\"\(line.color)\"/>\n"
    }
    return text
  }

  /// A single line without a name needs none: the title says what it is.
  private func legend(_ line: Series, at index: Int) -> String {
    guard !line.name.isEmpty else { return "" }
    let left = Self.size.width - Self.margin.right - 150 * Double(series.count - index)
    return "<text x=\"\(Int(left) + 16)\" y=\"20\">\(Self.escaped(line.name))</text>"
      + "<rect x=\"\(Int(left))\" y=\"14\" width=\"12\" height=\"4\" fill=\"\(line.color)\"/>\n"
  }

  private func grid(_ x: Axis, _ y: Axis) -> String {
    var text = ""
    for value in y.ticks {
      let parts = place((x.low, value), x, y).split(separator: ",")
      text +=
        "<line x1=\"\(Int(Self.margin.left))\" x2=\"\(Int(Self.size.width - Self.margin.right))\" y1=\"\(parts[1])\" "
        + "y2=\"\(parts[1])\" stroke=\"#e4e4e4\"/><text x=\"\(Int(Self.margin.left) - 8)\" y=\"\(parts[1])\" dy=\"4\" "
        + "text-anchor=\"end\" fill=\"#555\">\(y.label(value))</text>\n"
    }
    for value in x.ticks {
      let parts = place((value, y.low), x, y).split(separator: ",")
      text +=
        "<text x=\"\(parts[0])\" y=\"\(Int(Self.size.height) - 20)\" text-anchor=\"middle\" fill=\"#555\">"
        + "\(x.label(value))</text>\n"
    }
    return text
  }

  /// At most 1,000 points, each the mean of a run of them: more cannot be seen.
  private static func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
    guard points.count > 1000 else { return points }
    let step = (points.count + 999) / 1000
    return stride(from: 0, to: points.count, by: step).map { start in
      let run = points[start..<min(start + step, points.count)]
      let count = Double(run.count)
      return (run.reduce(0) { $0 + $1.x } / count, run.reduce(0) { $0 + $1.y } / count)
    }
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}

/// A range of values and the round numbers in it.
private struct Axis {
  let low: Double
  let high: Double
  let step: Double

  init(_ low: Double, _ high: Double) {
    let span = max(high - low, max(abs(low) * 1e-6, 1e-9))
    var step = 1.0
    while step * 5 > span { step /= 10 }
    while step * 50 < span { step *= 10 }
    self.step = span / step > 25 ? step * 10 : span / step > 12 ? step * 5 : span / step > 6 ? step * 2 : step
    self.low = low
    self.high = low + span
  }

  func share(_ value: Double) -> Double { (value - low) / (high - low) }

  var ticks: [Double] {
    let first = (low / step).rounded(.up)
    return (0..<32).map { (first + Double($0)) * step }.prefix { $0 <= high + step * 1e-9 }
  }

  func label(_ value: Double) -> String {
    var digits = 0
    var unit = step
    while unit < 0.999, digits < 9 {
      unit *= 10
      digits += 1
    }
    return TextFormat.fixed(value, digits: digits)
  }
}
