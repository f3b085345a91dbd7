/** Reports in a real browser: nothing but the page itself, on a phone, in the dark, by keyboard, for a screen reader. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import axe, { type AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { compareResults, readResults, renderComparisonHtml } from '#core'
import { ensureDir, reportsDir } from '#kit/paths'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { everyKindPage, keptRecord, RECORDS, resultsOf } from '../unit/report-fixture.ts'
import { createTree } from '../unit/tree-fixture.ts'
import { findBrowser, startBrowser } from './browser-fixture.ts'

const test = suite('report in a browser')

const WIDTHS = [360, 768, 1280]
const TEST_TIMEOUT_MS = 120_000
const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 780 } }
const SCREENS = join(reportsDir(), 'screenshots')

/** A page of ours in a browser, and whatever it did beside showing itself. */
interface Opened extends AsyncDisposable {
  readonly page: Page
  readonly problems: readonly string[]
}

type Open = (name: keyof typeof PAGES, options?: BrowserContextOptions) => Promise<Opened>

const PAGES = {
  report: everyKindPage,
  comparison: async () => {
    const [before, after] = [await resultsOf(keptRecord('hand-edit')), await readResults(stack, [RECORDS])]
    return renderComparisonHtml(compareResults(before, after))
  },
}

const NAMES = ['report', 'comparison'] as const

/** Opened as a file, as a person does it. */
const opener =
  (browser: Browser): Open =>
  async (name, options = {}) => {
    await using begun = new AsyncDisposableStack()
    const tree = begun.use(createTree())
    const file = join(tree.path, `${name}.html`)
    await writeFile(file, await PAGES[name]())
    const context = await browser.newContext(options)
    begun.defer(() => context.close())
    const page = await context.newPage()
    const problems: string[] = []
    page.on('console', (message) => problems.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('dialog', (dialog) => problems.push(`a dialog: ${dialog.message()}`))
    page.on('request', (request) => {
      if (request.url() !== pathToFileURL(file).href && !request.url().startsWith('data:')) problems.push(`asked for ${request.url()}`)
    })
    await page.goto(pathToFileURL(file).href)
    const all = begun.move()
    return { page, problems, [Symbol.asyncDispose]: () => all.disposeAsync() }
  }

/** What runs in the page is text: the project is not compiled for browsers. */
const ask = <T>(page: Page, expression: string): Promise<T> => page.evaluate(expression)
const openAll = (page: Page) => ask<void>(page, "for (const each of document.querySelectorAll('details')) each.open = true")

const OVERFLOW = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
const USABLE = `[...document.querySelectorAll('a[href], summary, [tabindex="0"]')].filter((each) => each.checkVisibility()).length`
const FOCUS = "document.activeElement === document.body ? '' : getComputedStyle(document.activeElement).outlineStyle"
const SIZES = "[...document.querySelectorAll('.timeline text, .timeline span')].map((each) => parseFloat(getComputedStyle(each).fontSize))"
/** Names that what they come to lies upon. */
const OVERLAPS = `[...document.querySelectorAll('.timeline .cap')].filter((cap) => {
  const [name, sum] = [...cap.children].map((child) => child.getBoundingClientRect())
  return sum.width > 0 && name.right > sum.left && name.bottom > sum.top + 1 && sum.bottom > name.top + 1
}).map((cap) => cap.textContent)`

const TESTS: Readonly<Record<string, (open: Open) => Promise<void>>> = {
  'it shows itself without an error, and asks nobody for anything': async (open) => {
    for (const name of NAMES) {
      await using opened = await open(name)
      await openAll(opened.page)
      assert.match(await opened.page.title(), / · Holdfast$/)
      assert.equal(opened.problems, [], name)
      assert.is(await opened.page.locator('img, script').count(), 0)
    }
  },

  'it fits phones, tablets and desks, closed and open': async (open) => {
    for (const name of NAMES)
      for (const width of WIDTHS) {
        await using opened = await open(name, { viewport: { width, height: 900 } })
        assert.is(await ask(opened.page, OVERFLOW), 0, `${name} at ${width}`)
        await openAll(opened.page)
        assert.is(await ask(opened.page, OVERFLOW), 0, `${name} at ${width}, all open`)
      }
  },

  'a keyboard reaches everything that can be used, sees where it is, and opens it': async (open) => {
    await using opened = await open('report')
    const { page } = opened
    const usable = await ask<number>(page, USABLE)
    const outlines: string[] = []
    for (let outline = 'first'; outline !== '' && outlines.length <= usable; ) {
      await page.keyboard.press('Tab')
      outline = await ask<string>(page, FOCUS)
      if (outline !== '') outlines.push(outline)
      if (outlines.length === 1)
        assert.ok(await ask(page, 'document.activeElement.getBoundingClientRect().left >= 0'), 'the skip link is seen')
    }
    assert.is(outlines.length, usable)
    assert.equal([...new Set(outlines)], ['solid'])
    const summary = page.locator('summary').first()
    await summary.focus()
    await page.keyboard.press('Enter')
    assert.ok(await ask(page, "document.querySelector('summary').parentElement.open"))
  },

  'axe finds nothing wrong with it, by day and by night': async (open) => {
    for (const name of NAMES)
      for (const colorScheme of ['light', 'dark'] as const) {
        await using opened = await open(name, { colorScheme })
        await openAll(opened.page)
        await ask(opened.page, axe.source)
        const { violations } = await ask<AxeResults>(opened.page, 'axe.run()')
        const said = violations.map(
          ({ id, nodes }) =>
            `${id}: ${nodes
              .slice(0, 3)
              .map((node) => `${node.html} ${node.failureSummary}`)
              .join(' | ')}`,
        )
        assert.equal(said, [], `${name}, ${colorScheme}`)
      }
  },

  'it is dark where the system is': async (open) => {
    const brightness = async (colorScheme: 'light' | 'dark') => {
      await using opened = await open('report', { colorScheme })
      const colour = await ask<string>(opened.page, 'getComputedStyle(document.body).backgroundColor')
      return Math.max(...(colour.match(/\d+/g) ?? []).map(Number))
    }
    assert.ok((await brightness('light')) > 230)
    assert.ok((await brightness('dark')) < 40)
  },

  'text is never smaller than 11 pixels, and lines of a timeline do not lie on each other': async (open) => {
    await using opened = await open('report', PHONE)
    assert.ok(Math.min(...(await ask<number[]>(opened.page, SIZES))) >= 11)
    assert.equal(await ask(opened.page, OVERLAPS), [])
  },

  'the record comes out of the page as it went in': async (open) => {
    await using opened = await open('report')
    const link = opened.page.locator('a[download="2026-11-25T20-55-03-740Z-hand-edit.json.gz"]')
    await openAll(opened.page)
    const [download] = await Promise.all([opened.page.waitForEvent('download'), link.first().click()])
    const content = gunzipSync(await readFile(await download.path())).toString()
    assert.is(content, JSON.stringify(keptRecord('hand-edit')))
  },

  'screenshots at three widths, by day and by night, are there to be looked at': async (open) => {
    ensureDir(SCREENS)
    for (const width of WIDTHS)
      for (const colorScheme of ['light', 'dark'] as const) {
        await using opened = await open('report', { viewport: { width, height: 900 }, colorScheme })
        const shots = [
          await opened.page.screenshot({ path: join(SCREENS, `report-${width}-${colorScheme}.png`) }),
          await opened.page
            .locator('section:has(#process-hangs)')
            .screenshot({ path: join(SCREENS, `timeline-${width}-${colorScheme}.png`) }),
        ]
        for (const shot of shots) assert.ok(shot.length > 10_000)
      }
  },
}

const program = await findBrowser()
if (program === undefined) {
  for (const name of Object.keys(TESTS)) test.skip(name, 'no Chromium is installed, and only Debian’s is installed by us, as root')
} else {
  const browser = await startBrowser(program)
  test.after(() => browser.close())
  for (const [name, body] of Object.entries(TESTS)) test(name, () => body(opener(browser)), { timeoutMs: TEST_TIMEOUT_MS })
}

test.run()
