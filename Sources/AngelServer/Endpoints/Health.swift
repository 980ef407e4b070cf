import AngelCore
import AngelHCF

/// `GET /health`: whether the server's threads answer.
enum HealthEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/health"
  static let summary = "Answers while the server lives"
  static let isOpen = true

  static func respond(_ call: APICall) { call.send { ["status": "ok"] } }
}

/// `GET /`: the same for Ollama's command, which asks here first.
enum RootEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/"
  static let summary = "Answers while the server lives, where Ollama's command asks first"
  static let isOpen = true
  static let answerType = "text/plain"

  static func respond(_ call: APICall) {
    call.send(HTTPResponse(status: 200, type: "text/plain; charset=utf-8", "angel is running"))
  }
}

/// `GET /ready`: whether the default model makes tokens.
enum ReadyEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/ready"
  static let summary = "Answers 200 once the first model has made a token for this very question, 503 where it does not"
  static let isOpen = true

  static func respond(_ call: APICall) throws {
    guard !call.server.isDraining else { throw APIError.draining }
    let name = call.server.shelf.models[0].name
    guard call.server.shelf.isLoaded(name) else {
      throw APIError(
        status: 503, type: "server_error", "model '\(name)' is not loaded yet", code: "not_ready", retryAfter: 1)
    }
    call.server.shelf.use(name) { result in
      guard case .success(let use) = result else { return call.fail(APIError.draining) }
      @Sendable func answer(_ error: APIError?) {
        guard var error else { return call.send { ["status": "ready", "model": .string(use.name)] } }
        error.status = 503
        call.fail(error)
      }
      switch use.model {
      case .language(let engine): call.server.readiness.ask(engine, now: MonotonicClock.seconds(), answer)
      case .encoder(let engine):
        do {
          _ = try engine.embed([[0]]) { result in
            switch result {
            case .success: answer(nil)
            case .failure(let error): answer(APICall.apiError(error))
            }
          }
        } catch {
          answer(APICall.apiError(error))
        }
      }
    }
  }
}

/// `GET /version`: the server's version, as vLLM has it.
enum VersionEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/version"
  static let summary = "The server's version"
  static let isOpen = true

  static func respond(_ call: APICall) { call.send { ["version": .string(call.server.options.version)] } }
}
