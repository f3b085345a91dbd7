/** Other versions of the service for proofs: the same program under another configuration. */
import type { ImageConfig } from '#kit/variant'

/** A version of its own, that does nothing else. The same mark makes the same version again. */
export const marked =
  (mark: string) =>
  (config: ImageConfig): ImageConfig => ({ ...config, Labels: { ...config.Labels, 'dev.holdfast.proof': mark } })

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
