/** HTML and SVG as text that cannot be broken out of: whatever stands in a template is escaped unless it is HTML of ours. */
import { printable } from '#kit/text'

/** Text that is HTML already. Only `html` makes it. */
export class Html {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** What may stand in a template; nothing, false and an empty list leave nothing. */
export type Part = Html | string | number | false | undefined | readonly Part[]

/** A template: html`<b>${name}</b>`. Attributes stand in double quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, string, i) => `${text}${textOf(parts[i - 1])}${string}`))
}

function textOf(part: Part): string {
  if (part === undefined || part === false) return ''
  if (part instanceof Html) return part.toString()
  if (typeof part === 'object') return part.map(textOf).join('')
  return escapeText(String(part))
}

/** For text and quoted attributes, of HTML and of XML. */
export function escapeText(text: string): string {
  return printable(text).replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
