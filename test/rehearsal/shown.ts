/** Rehearses the cloud commands that the documentation shows: the lines come as arguments, and what became of them is sent. */
import { main } from '#kit/main'
import { command } from './commands.ts'
import { openPlace, unavailable } from './place.ts'
import { rehearsedArgs } from './shown-args.ts'

// Whoever started it is gone: stop as on a signal.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
process.channel?.unref()

await main({
  name: 'test:docs',
  summary: 'Rehearse the cloud commands that the documentation shows',
  example: 'npm run test:docs',
  declare: (parser) => parser.argument('<lines...>', 'as they are shown'),
  async run({ args, progress, signal }) {
    const why = await unavailable()
    const results: { line: string; exitCode: number | undefined }[] = []
    if (why === undefined) {
      await using place = await openPlace({ progress, signal })
      const seen = new Set<string>()
      for (const line of args) {
        const { file, args: given } = rehearsedArgs(line, place.upArgs)
        // What is added may make two lines one: the second would look for what the first took away.
        if (seen.has([file, ...given].join(' '))) continue
        seen.add([file, ...given].join(' '))
        progress.say(`${line} as ${file} ${given.join(' ')}`)
        const { exitCode } = await command(file, given, { env: place.env, signal, onLine: (said) => progress.say(`  ${said}`) })
        results.push({ line, exitCode })
      }
    }
    await new Promise((done) => process.send?.({ why, results }, done))
    return results.every(({ exitCode }) => exitCode === 0) ? 0 : 1
  },
})
