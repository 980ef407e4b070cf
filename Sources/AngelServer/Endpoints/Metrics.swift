import AngelHCF

/// `GET /metrics`: figures for Prometheus, under vLLM's names.
enum MetricsEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/metrics"
  static let summary = "Figures for Prometheus, under the names that vLLM's dashboards know"
  static let answerType = "text/plain"

  static func respond(_ call: APICall) {
    let server = call.server
    let engines = server.shelf.models.compactMap { model -> (name: String, statistics: ServingStatistics)? in
      guard case .language(let engine)? = server.shelf.loaded(model.name) else { return nil }
      return (model.name, engine.statistics)
    }
    let text = server.metrics.text(engines, connections: server.connectionCount, exchanges: server.exchangeCount)
    call.send(HTTPResponse(status: 200, type: "text/plain; version=0.0.4; charset=utf-8", text))
  }
}
