/** Other versions of the service for proofs: the same program under another configuration. */
import { marked } from '#core'
import type { ImageConfig } from '#kit/variant'

/** What runs before the program: every second list of products cannot be written, as by a mistake that only some requests meet. */
const MISTAKE = `
const write = JSON.stringify
let lists = 0
JSON.stringify = (value, ...rest) => {
  if (Array.isArray(value) && value[0]?.price !== undefined && lists++ % 2 === 0) throw new TypeError('No such price')
  return write(value, ...rest)
}`

/** Arguments of Node that put the mistake in front of a program. */
export const FAULTY_ARGS: readonly string[] = ['--import', `data:text/javascript,${encodeURIComponent(MISTAKE)}`]

/** It starts, becomes ready and stays so, and answers half of its requests with 500. */
export const faulty = (config: ImageConfig): ImageConfig => {
  const [node = 'node', ...program] = config.Entrypoint ?? []
  return { ...marked('faulty')(config), Entrypoint: [node, ...FAULTY_ARGS, ...program] }
}
