/** `npm run bench:kind`: this platform beside kind and Helm charts, on the same machine. */
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bringUp, measureKind, type PlatformStart, renderBeside } from '#core'
import { UserError } from '#kit/errors'
import { Images } from '#kit/images'
import { type Invocation, main } from '#kit/main'
import { reportsDir } from '#kit/paths'
import { stack } from '../holdfast.config.ts'

const CLUSTER = 'beside'

await main({
  name: 'bench:kind',
  summary: 'Brings up a cluster by kind with charts, removes it, then this platform, and compares how long each took to be ready.',
  example: 'npm run bench:kind',

  run,
})

async function run({ progress, signal }: Invocation<unknown>): Promise<number> {
  const { local } = stack.clusters
  if (await local.exists(CLUSTER))
    throw new UserError({
      what: 'Cannot compare',
      why: `the cluster '${CLUSTER}' is there`,
      next: `Run npm run local:down -- --name ${CLUSTER}`,
    })
  const other = await measureKind({ progress, signal })
  const ours = await measureOurs({ progress, signal })
  const table = renderBeside(ours, other)
  await writeFile(
    join(reportsDir(), 'bench-kind.json'),
    `${JSON.stringify({ ours, other, ratio: ours.readyMs / other.readyMs }, undefined, 2)}\n`,
  )
  if (process.env.GITHUB_STEP_SUMMARY !== undefined) await appendFile(process.env.GITHUB_STEP_SUMMARY, `${table}\n`)
  process.stdout.write(`${table}\n`)
  return 0
}

async function measureOurs({ progress, signal }: Pick<Invocation<unknown>, 'progress' | 'signal'>): Promise<PlatformStart> {
  const { local } = stack.clusters
  const began = performance.now()
  try {
    await bringUp(stack, { name: CLUSTER, images: new Images({ progress, signal }), progress, signal })
    return { name: 'holdfast', readyMs: Math.round(performance.now() - began), versions: [`Kubernetes ${local.kubernetes.pinned}`] }
  } finally {
    await local.down({ name: CLUSTER, all: false, progress })
  }
}
