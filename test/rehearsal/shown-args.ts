/** A cloud command as the documentation shows it, and as it is rehearsed. Pure. */

export interface Rehearsed {
  /** Name of the command's file in `scripts`. */
  readonly file: string
  readonly args: readonly string[]
}

/** What an example names of its own, and the rehearsal has another one of. */
const REPLACED = ['--repo', '--branch', '--repo-secret', '--allow-cidr']

/** @param upArgs what the rehearsal gives in place of these. @throws on a line that runs no command of ours */
export function rehearsedArgs(line: string, upArgs: readonly string[]): Rehearsed {
  const [, name, rest = ''] = /^npm run (?:--silent )?([\w:]+)(?: -- (.*))?$/.exec(line) ?? []
  if (name === undefined) throw new Error(`Cannot rehearse '${line}': it runs no command of ours`)
  const words = rest.split(/\s+/).filter((word) => word !== '')
  const kept = words.filter((word, i) => !(REPLACED.includes(word) || REPLACED.includes(words[i - 1] ?? '')))
  return { file: name.replace(':', '-'), args: [...kept, ...addedTo(name, kept, upArgs)] }
}

function addedTo(name: string, args: readonly string[], upArgs: readonly string[]): readonly string[] {
  if (name === 'cloud:plan') return upArgs
  if (name === 'cloud:up') return [...upArgs, '--yes']
  return name === 'cloud:down' && !args.includes('--confirm') ? ['--confirm', 'dev'] : []
}
