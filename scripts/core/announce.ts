/** What a person is told at the end: addresses, files, times, next commands. */
import { formatMs, type Timing } from '#kit/progress'
import type { Installed } from './install.ts'
import type { Cluster } from './types.ts'

/** The closing lines of `local:up` and `cloud:up`. */
export function upSummary({ stack, target }: Installed, { elapsedMs, timings }: { elapsedMs: number; timings: readonly Timing[] }): string {
  const { cluster } = target
  const slowest = timings.filter(({ ms }) => ms >= 500).map(({ step, ms }) => `  ${formatMs(ms).padStart(12)}  ${step}`)
  return [
    '',
    ...(slowest.length === 0 ? [] : ['Time of each step (side by side where they can be):', ...slowest]),
    `Everything is Synced and Healthy after ${formatMs(elapsedMs)}`,
    '',
    ...(cluster.kind === 'k3s' ? stack.parts.flatMap((part) => part.hints?.(target) ?? []) : [INSIDE]).map((hint) => `  ${hint}`),
    `  kubectl: export KUBECONFIG=${cluster.kubeconfig}`,
    '',
    ...(cluster.kind === 'k3s' ? nextLocally(cluster) : nextInCloud(cluster)),
  ].join('\n')
}

const INSIDE =
  'Nothing is public; the API server leads inside: kubectl get --raw /api/v1/namespaces/dev/services/service:http/proxy/api/products'

function nextLocally({ name }: Cluster): string[] {
  const flag = name === 'local' ? '' : ` -- --name ${name}`
  return [
    `Next: npm run local:status${flag}   what runs`,
    `      npm run prove${flag}          prove that it scales, alerts and heals`,
    `      npm run chaos${flag}          break it on purpose, and watch it heal`,
    `      npm run local:deploy${flag}   deploy a change of the working tree`,
    `      npm run local:down${flag}     remove it all`,
  ]
}

function nextInCloud({ environment = 'dev' }: Cluster): string[] {
  return [
    `Next: npm run cloud:status -- --env ${environment}   its age, its cost, when it expires`,
    `      npm run cloud:test -- --env ${environment}     prove that it scales, alerts and heals, and break it`,
    `      npm run cloud:down -- --env ${environment}     remove it all`,
  ]
}
