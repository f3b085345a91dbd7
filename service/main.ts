/** The process: `npm run service` on a laptop, the image's entry point as a bundle. */
import process from 'node:process'
import { HELP } from './help.ts'
import { run } from './run.ts'

process.exit(await answer(process.argv.slice(2)))

async function answer([first]: readonly string[]): Promise<number> {
  const stdout = (text: string) => void process.stdout.write(text)
  const stderr = (text: string) => void process.stderr.write(text)
  if (first === undefined) return run({ env: process.env, signals: process, stdout, stderr })
  if (first === '--help' || first === '-h') {
    stdout(HELP)
    return 0
  }
  stderr(`Cannot start the service: it takes no '${first}', its settings are variables of the environment. Run npm run service -- --help\n`)
  return 2
}
