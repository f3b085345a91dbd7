/** Whether Prometheus sees the workload: what it does not scrape can raise no alert and judge no canary. */
import { type AskProm, promQuery } from '#kit/prom'
import type { Environment } from './environments.ts'
import type { Signal } from './scenario.ts'
import { WORKLOAD_NAME } from './workload.ts'

/** The environment's pods that Prometheus scrapes. */
const SCRAPED = (environment: Environment) => `count(up{job="${WORKLOAD_NAME}", namespace="${environment}"} == 1)`
const LEAST_PODS = 2

/** Of what is new in a cluster Prometheus hears within 60 to 90 s, as of every change of its configuration. */
export const prometheusScrapes: Signal = {
  name: 'Prometheus scrapes the pods of the environment',
  async look({ cluster, environment, signal }) {
    const ask: AskProm = (path, init) => cluster.fetch('prometheus', path, { signal, ...init })
    const pods = await promQuery(ask, SCRAPED(environment)).then(
      ([count]) => count?.value ?? 0,
      () => 'no answer',
    )
    return { ok: typeof pods === 'number' && pods >= LEAST_PODS, seen: String(pods) }
  },
}
