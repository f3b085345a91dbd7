/** `npm run local:up`: the whole platform from the working tree. */

import { bringUp, explainFailure, machineChecks, upSummary } from '#core'
import { type UpFlags, withUp } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { forbidNetwork } from '#kit/offline'
import { timingsJson } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<UpFlags>({
  name: 'local:up',
  summary: 'Brings the platform up on this machine from the working tree; run again, it repairs and syncs what is there.',
  example: 'npm run local:up -- --name demo --ports-from 17440',
  declare: withUp,
  explain: (message, flags) => explainFailure(machineChecks(stack, flags), message),
  async run({ flags, progress, signal }) {
    const started = performance.now()
    const { offline = false } = flags
    if (offline) forbidNetwork()
    const { name, portsFrom, nodes, images: way } = flags
    await using _lock = await stack.clusters.local.lock(name, 'local:up')
    const images = new Images({ progress, signal, ...(way === undefined ? {} : { way }) })
    const request = {
      name,
      offline,
      images,
      progress,
      signal,
      ...(portsFrom === undefined ? {} : { portsFrom }),
      ...(nodes === undefined ? {} : { nodes }),
    }
    const installed = await bringUp(stack, request)
    const elapsedMs = performance.now() - started
    process.stdout.write(
      flags.timings === 'json' ? timingsJson(progress, elapsedMs) : `${upSummary(installed, { elapsedMs, timings: progress.timings })}\n`,
    )
    return 0
  },
})
