/** What a person is told at the end: addresses, files, times, next commands. */
import { formatMs, type Timing } from '#kit/progress'
import type { Installed } from './install.ts'

/** The closing lines of `local:up`. */
export function upSummary({ stack, target }: Installed, { elapsedMs, timings }: { elapsedMs: number; timings: readonly Timing[] }): string {
  const { cluster } = target
  const slowest = timings.filter(({ ms }) => ms >= 500).map(({ step, ms }) => `  ${formatMs(ms).padStart(12)}  ${step}`)
  const flag = cluster.name === 'local' ? '' : ` -- --name ${cluster.name}`
  return [
    '',
    ...(slowest.length === 0 ? [] : ['Time of each step (side by side where they can be):', ...slowest]),
    `Everything is Synced and Healthy after ${formatMs(elapsedMs)}`,
    '',
    ...stack.parts.flatMap((part) => part.hints?.(target) ?? []).map((hint) => `  ${hint}`),
    `  kubectl: export KUBECONFIG=${cluster.kubeconfig}`,
    '',
    `Next: npm run local:status${flag}   what runs`,
    `      npm run prove${flag}          prove that it scales, alerts and heals`,
    `      npm run chaos${flag}          break it on purpose, and watch it heal`,
    `      npm run local:deploy${flag}   deploy a change of the working tree`,
    `      npm run local:down${flag}     remove it all`,
  ].join('\n')
}
