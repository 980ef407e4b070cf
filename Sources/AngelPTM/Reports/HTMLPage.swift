/// A page of HTML that needs nothing from elsewhere: sections, tables, cards and pictures under one sheet of style.
struct HTMLPage {
  private var body = ""
  private let title: String

  init(title: String, subtitle: String) {
    self.title = title
    body = "<header><h1>\(Self.escaped(title))</h1><p>\(Self.escaped(subtitle))</p></header>\n"
  }

  /// The whole document.
  var text: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(Self.escaped(title))</title><style>\(Self.style)</style></head>
    <body><main>
    \(body)</main></body></html>

    """
  }

  /// Numbers that are seen first.
  mutating func cards(_ cards: [(name: String, value: String, detail: String)]) {
    body += "<div class=\"cards\">"
    for card in cards {
      body +=
        "<div class=\"card\"><span>\(Self.escaped(card.name))</span><b>\(Self.escaped(card.value))</b>"
        + "<small>\(Self.escaped(card.detail))</small></div>"
    }
    body += "</div>\n"
  }

  mutating func heading(_ text: String) { body += "<h2>\(Self.escaped(text))</h2>\n" }

  mutating func paragraph(_ text: String) { body += "<p>\(Self.escaped(text))</p>\n" }

  /// SVG pictures beside each other as they fit.
  mutating func pictures(_ pictures: [String], isWide: Bool = false) {
    body += "<div class=\"\(isWide ? "wide" : "grid")\">"
    for picture in pictures { body += "<figure>\(picture)</figure>" }
    body += "</div>\n"
  }

  mutating func table(_ rows: [[String]], headings: [String] = []) {
    guard !rows.isEmpty else { return }
    body += "<div class=\"scroll\"><table>"
    if !headings.isEmpty { body += "<tr>" + headings.map { "<th>\(Self.escaped($0))</th>" }.joined() + "</tr>" }
    for row in rows { body += "<tr>" + row.map { "<td>\(Self.escaped($0))</td>" }.joined() + "</tr>" }
    body += "</table></div>\n"
  }

  /// Shares of a whole as one bar with a legend.
  mutating func bar(_ parts: [(name: String, value: Double, label: String)]) {
    let total = max(parts.reduce(0) { $0 + $1.value }, 1e-300)
    body += "<div class=\"bar\">"
    for (index, part) in parts.enumerated() {
      let share = TextFixed.percent(part.value / total)
      body += "<i style=\"width:\(share)%;background:\(Self.colors[index % Self.colors.count])\"></i>"
    }
    body += "</div><div class=\"legend\">"
    for (index, part) in parts.enumerated() {
      body +=
        "<span><i style=\"background:\(Self.colors[index % Self.colors.count])\"></i>\(Self.escaped(part.name)) "
        + "<b>\(Self.escaped(part.label))</b></span>"
    }
    body += "</div>\n"
  }

  /// Values as bars under each other, the longest full.
  mutating func bars(_ rows: [(name: String, value: Double, label: String)]) {
    let most = max(rows.map(\.value).max() ?? 0, 1e-300)
    body += "<table class=\"bars\">"
    for row in rows {
      body +=
        "<tr><td>\(Self.escaped(row.name))</td><td class=\"track\"><i style=\"width:"
        + "\(TextFixed.percent(row.value / most))%\"></i></td><td class=\"number\">\(Self.escaped(row.label))</td></tr>"
    }
    body += "</table>\n"
  }

  mutating func preformatted(_ text: String) { body += "<pre>\(Self.escaped(text))</pre>\n" }

  /// A text under a line that opens and closes it.
  mutating func details(_ summary: String, _ text: String, isOpen: Bool = false) {
    body +=
      "<details\(isOpen ? " open" : "")><summary>\(Self.escaped(summary))</summary>"
      + "<pre>\(Self.escaped(text))</pre></details>\n"
  }

  static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  private static let colors = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#a463f2", "#9c6b4e"]

  private static let style = """
    :root{color-scheme:light}*{box-sizing:border-box}body{margin:0;background:#f6f7f9;color:#1c1f26;\
    font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}main{max-width:1080px;margin:0 auto;padding:28px 20px 64px}\
    h1{font-size:26px;margin:0;overflow-wrap:anywhere}header p{color:#5b6270;margin:4px 0 20px}h2{font-size:17px;\
    margin:34px 0 10px;padding-top:10px;border-top:1px solid #e3e6ec}.cards{display:grid;gap:12px;\
    grid-template-columns:repeat(auto-fill,minmax(160px,1fr))}.card{background:#fff;border:1px solid #e3e6ec;\
    border-radius:10px;padding:12px 14px;display:flex;flex-direction:column}.card span,.card small{color:#5b6270;\
    font-size:12.5px}.card b{font-size:22px;line-height:1.35;font-weight:650}.grid{display:grid;gap:12px;\
    grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr))}.wide{display:grid;gap:12px}figure{margin:0;\
    background:#fff;border:1px solid #e3e6ec;border-radius:10px;padding:8px}figure svg{width:100%;height:auto;\
    display:block}.scroll{overflow-x:auto}table{border-collapse:collapse;background:#fff;border:1px solid #e3e6ec;\
    border-radius:10px;width:100%;font-size:14px}td,th{padding:5px 12px;text-align:left;border-bottom:1px solid #eef0f4;\
    vertical-align:top;overflow-wrap:anywhere}tr:last-child td{border-bottom:0}th{color:#5b6270;font-weight:600}\
    td:last-child{font-variant-numeric:tabular-nums}.bar{display:flex;height:22px;border-radius:6px;overflow:hidden;\
    background:#e3e6ec}.bar i{display:block}.legend{display:flex;flex-wrap:wrap;gap:6px 18px;margin:8px 0 4px;\
    font-size:13.5px;color:#5b6270}.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;\
    margin-right:6px}.legend b{color:#1c1f26}.bars td{padding:2px 10px;border:0}.bars td:first-child{width:150px;\
    white-space:nowrap}.track{width:auto}.track i{display:block;height:12px;border-radius:3px;background:#4269d0;\
    min-width:1px}.number{width:90px;text-align:right}pre{background:#fff;border:1px solid #e3e6ec;border-radius:10px;\
    padding:12px 14px;overflow-x:auto;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;margin:6px 0}\
    details{margin:6px 0}summary{cursor:pointer;color:#34405a}
    """
}

/// Percentages in styles.
private enum TextFixed {
  static func percent(_ share: Double) -> String {
    "\((max(0, min(1, share)) * 10_000).rounded() / 100)"
  }
}
