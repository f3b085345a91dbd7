/** `npm run alert`: fires one alert, shows it arriving, resolves it, shows that too. */

import { checkAnswering, needCluster, type Receipt } from '#core'
import { UserError } from '#kit/errors'
import { type ClusterFlags, type JsonFlags, withJson, withName } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, JsonFlags {
  readonly list?: boolean
}

const show = ({ channel, title, text, afterMs }: Receipt) =>
  [`${channel} after ${afterMs} ms: ${title}`, ...text.trim().split('\n')].join('\n    ')

await main<Flags>({
  name: 'alert',
  summary: 'Fires one alert by hand and shows that it, and its resolution, arrive.',
  example: 'npm run alert -- HighErrorRate',
  declare: (command) => withJson(withName(command)).argument('[name]', 'which alert').option('--list', 'list the alerts'),
  async run({ flags: { name, list, json }, args: [alert], progress, signal }) {
    const cluster = await needCluster(stack, { what: 'Cannot fire an alert', name })
    await checkAnswering(cluster, ['prometheus', 'alertmanager', 'sink'])
    const known = list || alert === undefined ? await stack.alerting.list(cluster) : []
    if (list) {
      const lines = known.map((each) => `${each.name} (${each.severity})\n    ${each.about}`)
      process.stdout.write(`${json ? JSON.stringify(known, null, 2) : lines.join('\n')}\n`)
      return 0
    }
    if (alert === undefined)
      throw new UserError({
        what: 'Cannot fire an alert',
        why: 'none was named',
        next: `Name one of ${known.map((each) => each.name).join(', ')}`,
      })
    const rehearsal = await stack.alerting.rehearse(alert, { cluster, progress, signal })
    const text = json ? JSON.stringify(rehearsal, null, 2) : `${show(rehearsal.fired)}\n${show(rehearsal.resolved)}`
    process.stdout.write(`${text}\n`)
    return 0
  },
})
