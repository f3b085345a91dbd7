/** Measures of coming up: from nothing, from stored images, again, and from a snapshot. */
import { join } from 'node:path'
import { UserError } from '#kit/errors'
import { exec } from '#kit/exec'
import { temporaryFolder } from '#kit/temporary'
import { type Bench, type Bout, type Measure, nothingToUndo, stepsOf } from './measure.ts'

const TIMINGS = ['--timings', 'json']
const SNAPSHOT = 'bench'

export const cold: Measure = {
  name: 'cold',
  about:
    'Removes all that was ever made here, the image store too, and brings the platform up: every image is pulled or built. 20 minutes.',
  runs: 1,
  onStack: false,
  isCold: true,
  async open(bench) {
    const { npm, progress } = bench
    // 20 minutes without a word would be too long.
    const onLine = (line: string) => line.startsWith('{') || progress.say(line)
    const go = await emptyGoCaches()
    return {
      async run() {
        await npm('local:down', ['--all'])
        await checkNoStore(bench)
        const { ms, stdout } = await npm('local:up', TIMINGS, { env: go.env, onLine })
        return { values: { cold: [ms] }, steps: stepsOf(stdout) }
      },
      [Symbol.asyncDispose]: () => go[Symbol.asyncDispose](),
    }
  },
}

/** @throws UserError where other clusters keep the image store from being removed: then nothing would be made anew. */
async function checkNoStore({ stack }: Bench): Promise<void> {
  const volumes = (await stack.clusters.local.listLeft()).filter((line) => line.startsWith('volume '))
  if (volumes.length === 0) return
  const why = `another cluster uses the image store: ${volumes.join(', ')} are there`
  throw new UserError({ what: 'Cannot measure cold', why, next: 'Run npm run local:down first' })
}

/** What Go has downloaded and compiled for anybody on this machine would count as ours. */
async function emptyGoCaches(): Promise<AsyncDisposable & { readonly env: Readonly<Record<string, string>> }> {
  const folder = await temporaryFolder('benchgo')
  const env = { GOCACHE: join(folder.path, 'build'), GOMODCACHE: join(folder.path, 'modules') }
  return {
    env,
    async [Symbol.asyncDispose]() {
      // Only Go itself removes modules, which it makes read-only.
      await exec('go', ['clean', '-modcache'], { env, accept: [0, 1, 127] })
      await folder[Symbol.asyncDispose]()
    },
  }
}

export const warm: Measure = {
  name: 'warm',
  about: 'Removes the cluster and brings it up from the image store.',
  runs: 5,
  onStack: true, // so that every image is in the store
  open: async ({ npm }) => ({
    async run() {
      await npm('local:down')
      const { ms, stdout } = await npm('local:up', TIMINGS)
      return { values: { warm: [ms] }, steps: stepsOf(stdout) }
    },
    ...nothingToUndo,
  }),
}

export const rerun: Measure = {
  name: 'rerun',
  about: 'Runs local:up on the stack that is there.',
  runs: 5,
  onStack: true,
  open: async ({ npm }) => ({
    async run() {
      const { ms, stdout } = await npm('local:up', TIMINGS)
      return { values: { rerun: [ms] }, steps: stepsOf(stdout) }
    },
    ...nothingToUndo,
  }),
}

export const restore: Measure = {
  name: 'restore',
  about: 'Takes a snapshot, stops the cluster, and restores it.',
  runs: 5,
  onStack: true,
  open: openRestore,
}

async function openRestore({ npm }: Bench): Promise<Bout> {
  await npm('local:snapshot', ['--as', SNAPSHOT])
  return {
    async run() {
      await npm('local:stop')
      const { ms, stdout } = await npm('local:restore', ['--from', SNAPSHOT, ...TIMINGS])
      return { values: { restore: [ms] }, steps: stepsOf(stdout) }
    },
    async [Symbol.asyncDispose]() {
      await npm('local:snapshot', ['--remove', SNAPSHOT])
    },
  }
}
