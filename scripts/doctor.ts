/** `npm run doctor`: what this machine has of what the platform needs; exit code 1 when something is bad. */

import { styleText } from 'node:util'
import { Option } from 'commander'
import { examine, examinedJson, isBad, listChecks, machineChecks, mend, renderExamined } from '#core'
import { type ClusterFlags, type JsonFlags, withJson, withName } from '#kit/flags'
import { main, print } from '#kit/main'
import { namesIn, pickNamed } from '#kit/pick'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, JsonFlags {
  readonly only?: string
  readonly list?: boolean
  readonly fix?: boolean
}

const json = (value: unknown) => print(JSON.stringify(value, null, 2))

await main<Flags>({
  name: 'doctor',
  summary:
    'Looks at this machine: what the platform needs, what is there, and what to do about what is not. Exit code 1 when something is bad.',
  example: 'npm run doctor -- --only engine,disk',
  declare: (command) =>
    withJson(withName(command))
      .option('--only <names>', 'look at these alone, by the names that --list shows')
      .addOption(new Option('--list', 'show what is looked at, without looking').conflicts('fix'))
      .option(
        '--fix',
        'mend what local:up would mend too: raise kernel limits, start the engine, install it where there is none (apt-get, as root); says what it does',
      ),
  async run({ flags, progress, signal }) {
    const checks = pickNamed(machineChecks(stack, flags), namesIn(flags.only), 'look at')
    if (flags.list) return flags.json ? json(listChecks(checks).json) : print(listChecks(checks).text)
    const before = await examine(checks, { signal })
    const after = flags.fix ? await mend(before, { progress, signal }) : before
    if (flags.fix && after === before) progress.say('There is nothing that --fix can mend')
    if (flags.json) json(examinedJson(after))
    else print(renderExamined(after, (colour, text) => styleText(colour, text, { stream: process.stdout })))
    return after.some(isBad) ? 1 : 0
  },
})
