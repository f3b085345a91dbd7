/** What a terminal shows in the end, as far as progress moves its cursor: up some lines, erasing all below. */
import { stripVTControlCharacters } from 'node:util'

export const ESC = '\u001b'
const ERASE = new RegExp(`${ESC}\\[(\\d+)A${ESC}\\[0J`)

/** The lines of the screen, without colours; the last is where the cursor is. */
export function screenOf(output: string): string[] {
  const pieces = output.replaceAll('\r', '').split(ERASE)
  const screen = pieces.reduce((shown, piece, i) => (i % 2 === 0 ? shown + piece : withoutLast(shown, Number(piece))), '')
  return stripVTControlCharacters(screen).split('\n')
}

/** The cursor is at the beginning of a line. */
function withoutLast(shown: string, count: number): string {
  const lines = shown.split('\n').slice(0, -1 - count)
  return lines.map((line) => `${line}\n`).join('')
}
