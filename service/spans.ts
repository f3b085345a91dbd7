/**
 * Exchanges as OpenTelemetry spans, sent by OTLP over HTTP as JSON. Imported only where there is an address to send them
 * to: the SDK costs memory. Headers, certificates and the like the exporter reads from its own `OTEL_EXPORTER_OTLP_*`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createTraceState, ROOT_CONTEXT, type SpanContext, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { detectResources, resourceAttributesEnvDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { UNKNOWN_ROUTE } from './http.ts'
import type { Exchange } from './router.ts'
import type { Trace } from './trace.ts'

export interface SpanOptions {
  readonly tracesUrl: string
  readonly serviceName: string
  readonly version: string
  readonly pod: string
  readonly environment: string
  /** Told whether spans arrive, each time that this changes; at first they are thought to. */
  readonly onChange: (failure: Error | undefined) => void
}

export interface Spans {
  /** Queues a span. A full queue drops it: the service never waits for its traces. */
  tell(exchange: Exchange): void
  /** Sends what is queued. @returns whether all of it has arrived within the limit */
  stop(limitMs: number): Promise<boolean>
}

export function startSpans({ tracesUrl, onChange, ...about }: SpanOptions): Spans {
  const exporter = new OTLPTraceExporter({ url: tracesUrl })
  let current: Trace
  const provider = new TracerProvider({
    resource: resourceOf(about),
    // The span is the one that the response and the log have named already.
    idGenerator: { generateTraceId: () => current.traceId, generateSpanId: () => current.spanId },
    spanProcessors: [new BatchSpanProcessor({ exporter: watched(exporter, onChange) })],
  })
  const tracer = provider.getTracer('service')
  return {
    tell(exchange) {
      current = exchange.trace
      record(tracer, exchange)
    },
    async stop(limitMs) {
      const done = provider.shutdown().then(
        () => true,
        () => false,
      )
      return Promise.race([done, sleep(limitMs, false, { ref: false })])
    },
  }
}

function resourceOf({ serviceName, version, pod, environment }: Omit<SpanOptions, 'tracesUrl' | 'onChange'>) {
  const own = resourceFromAttributes({
    'service.name': serviceName,
    'service.version': version,
    'service.instance.id': pod,
    'deployment.environment.name': environment,
  })
  return detectResources({ detectors: [resourceAttributesEnvDetector] }).merge(own)
}

/** Names and attributes by https://opentelemetry.io/docs/specs/semconv/http/http-spans/ */
function record(tracer: Tracer, { method, route, status, startedAtMs, ms, trace: own }: Exchange): void {
  const isKnown = route !== UNKNOWN_ROUTE
  const attributes = {
    'http.request.method': method,
    'http.response.status_code': status,
    ...(isKnown ? { 'http.route': route } : {}),
    ...(status >= 500 ? { 'error.type': String(status) } : {}),
  }
  const options = { kind: SpanKind.SERVER, startTime: startedAtMs, attributes }
  const span = tracer.startSpan(isKnown ? `${method} ${route}` : method, options, contextOf(own))
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
  span.end(startedAtMs + ms)
}

function contextOf({ traceId, parentSpanId, isSampled, state }: Trace) {
  if (parentSpanId === undefined) return ROOT_CONTEXT
  const parent: SpanContext = { traceId, spanId: parentSpanId, traceFlags: isSampled ? 1 : 0, isRemote: true }
  return trace.setSpanContext(ROOT_CONTEXT, state === undefined ? parent : { ...parent, traceState: createTraceState(state) })
}

function watched(exporter: SpanExporter, onChange: (failure: Error | undefined) => void): SpanExporter {
  let isFailing = false
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failure = result.code === 0 ? undefined : (result.error ?? new Error('no reason given'))
        if (isFailing !== (failure !== undefined)) onChange(failure)
        isFailing = failure !== undefined
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  }
}
