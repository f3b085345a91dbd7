/** What a process says about its requests: a log line and a span of each. */
import type { AppOptions } from './app.ts'
import { errorFields, type Log } from './log.ts'
import type { Settings } from './settings.ts'
import type { Spans } from './spans.ts'
import { traceFields } from './trace.ts'

export type Reports = Required<Pick<AppOptions, 'onError' | 'onExchange' | 'onPodFaults'>>

export function createReports(log: Log, { logRequests }: Settings, spans?: Spans): Reports {
  return {
    onError(error, request, trace) {
      const path = new URL(request.url).pathname
      log('error', 'request failed', { method: request.method, path, ...traceFields(trace), ...errorFields(error) })
    },
    onExchange(exchange) {
      const { method, route, status, ms, trace } = exchange
      const fails = status >= 500
      if (logRequests || fails)
        log(fails ? 'error' : 'info', 'request', { method, route, status, ms: Math.round(ms * 100) / 100, ...traceFields(trace) })
      spans?.tell(exchange)
    },
    onPodFaults: (state) => log('warn', 'faults of this pod', { ...state }),
  }
}

/** The SDK is loaded only where spans have an address. @returns nothing without one */
export async function openSpans({ tracesUrl, ...about }: Settings, log: Log): Promise<Spans | undefined> {
  if (tracesUrl === undefined) return undefined
  const { startSpans } = await import('./spans.ts')
  const onChange = (failure: Error | undefined) =>
    failure === undefined
      ? log('info', 'spans arrive again')
      : log('warn', 'spans do not arrive', { host: new URL(tracesUrl).host, error: failure.message })
  return startSpans({ ...about, tracesUrl, onChange })
}
