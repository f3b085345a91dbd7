/** `npm run load`: sends load from inside the cluster and shows what comes of it. */
import { type LoadSecond, loadExitCode, openRun, renderSecond, renderSummary, selectProfile, startLoad } from '#core'
import { type ClusterFlags, type JsonFlags, withJson, withName } from '#kit/flags'
import { main, print } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, JsonFlags {
  readonly list?: boolean
}

const SECOND_MS = 1000
const { profiles } = stack.load

await main<Flags>({
  name: 'load',
  summary: 'Sends load to the service from inside the cluster; bounded in rate and time, gone at its end.',
  example: 'npm run load -- spike',
  declare: (command) => withJson(withName(command)).argument('[profile]', 'which load').option('--list', 'list the profiles'),
  async run({ flags, args, progress, signal }) {
    if (flags.list) return print(flags.json ? json(profiles) : profiles.map(({ name, about }) => `${name}\n    ${about}`).join('\n'))
    const profile = selectProfile(profiles, args[0])
    await using run = await openRun(stack, { name: flags.name, progress, signal })
    const seconds: (LoadSecond & { readonly atMs: number })[] = []
    const onSecond = (second: LoadSecond, atMs: number) => {
      seconds.push({ ...second, atMs })
      if (!flags.json) print(renderSecond(second, atMs - (seconds[0]?.atMs ?? atMs) + SECOND_MS))
    }
    progress.say(`${profile.name}: ${profile.about}`)
    await using load = await startLoad(profile, run.context, onSecond)
    const summary = await load.done
    print(flags.json ? json({ ...summary, seconds }) : renderSummary(summary))
    return loadExitCode(summary)
  },
})

const json = (value: object) => JSON.stringify(value, null, 2)
