/** `#core`: the language of the house. */

export * from './alerting.ts'
export * from './announce.ts'
export * from './applications.ts'
export * from './deliver.ts'
export * from './delivery.ts'
export * from './environments.ts'
export * from './evidence.ts'
export * from './gitops.ts'
export * from './health.ts'
export * from './history.ts'
export * from './images.ts'
export * from './install.ts'
export * from './journal.ts'
export * from './judge.ts'
export * from './live.ts'
export * from './load.ts'
export * from './manifest.ts'
export * from './observe.ts'
export * from './promotion.ts'
export * from './record.ts'
export * from './render.ts'
export * from './report/index.ts'
export * from './rollback.ts'
export * from './rollout.ts'
export * from './run.ts'
export * from './scenario.ts'
export * from './statement.ts'
export * from './status.ts'
export * from './tape.ts'
export * from './types.ts'
export * from './walk.ts'
export * from './workload.ts'

import type { Stack } from './types.ts'

/** Gives the composition root its type. */
export function defineStack(stack: Stack): Stack {
  return stack
}
