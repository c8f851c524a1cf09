// Says in an open page that its session has ended. {% live_notice %} brings it; docs/live-notice.md tells of it.
//
// One tab of a browser leads: it holds the Web Lock "authx.live", and with it the one stream, or the one poll.
// It tells the others by BroadcastChannel. Nobody believes a message: each tab asks the site itself, and shows
// the notice only where that answers 401 in our words. It never reloads the page.

const NAME = 'authx.live'
// Milliseconds, all of them.
const POLL = 60_000
const TIMEOUT = 8_000
// For how long a tab that could not stream polls, before it tries again.
const REST = 5 * POLL
const FAILURES = 2
// Ends after which the same person may go on in the same browser: the new cookies can be on their way.
const CONTINUED = new Set(['superseded', 'password_changed', 'credentials_changed'])
const SECOND_LOOK = 2_000
// How long a page whose form has been sent may take to go; it is told nothing meanwhile.
const LEAVING = 5_000

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))
const spread = (milliseconds) => milliseconds * (0.5 + Math.random())

// The dialog, and what lies under it.
class Notice {
  constructor(dialog) {
    this.dialog = dialog
    this.loginPage = this.part('login').href
    this.part('stay').addEventListener('click', () => dialog.close())
    dialog.addEventListener('close', () => this.closed())
  }

  part(name) {
    return this.dialog.querySelector(`[data-live="${name}"]`)
  }

  show({ detail, ended_at }) {
    if (this.dialog.open || this.isDismissed) return
    const at = new Date(ended_at ?? Date.now())
    this.part('reason').textContent = detail
    this.part('time').dateTime = at.toISOString()
    this.part('time').textContent = inWords(at)
    this.part('login').href = withNext(this.loginPage)
    this.part('stay').hidden = Boolean(this.isCovered)
    this.dialog.showModal()
  }

  hide() {
    this.isDismissed = this.isCovered = false
    this.setVisibility('', '')
    this.isHiding = this.dialog.open
    this.dialog.close()
  }

  // What was on the page is nobody's business until the site has been asked whose it is.
  cover() {
    this.isCovered = true
    this.isDismissed = false
    this.setVisibility('hidden', 'visible')
  }

  // Somebody has closed it, unless it was hidden.
  closed() {
    if (this.isHiding) this.isHiding = false
    else if (this.isCovered) location.assign(this.part('login').href)
    else this.isDismissed = true
  }

  setVisibility(ofPage, ofDialog) {
    document.documentElement.style.visibility = ofPage
    this.dialog.style.visibility = ofDialog
  }
}

function inWords(at) {
  const isToday = at.toDateString() === new Date().toDateString()
  const style = isToday ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' }
  try {
    return at.toLocaleString(document.documentElement.lang || undefined, style)
  } catch {
    return at.toLocaleString(undefined, style) // what the page calls its language is none
  }
}

function withNext(loginPage) {
  const url = new URL(loginPage)
  const here = location.pathname + location.search + location.hash
  url.searchParams.set('next', url.origin === location.origin ? here : location.href)
  return url.href
}

// One tab.
class Tab {
  constructor(dialog) {
    this.notice = new Notice(dialog)
    this.address = dialog.dataset.address
    this.streams = 'stream' in dialog.dataset
    this.failures = 0
    this.leavingUntil = 0
  }

  begin() {
    addEventListener('submit', (event) => {
      if (!event.defaultPrevented) this.leavingUntil = performance.now() + LEAVING
    })
    addEventListener('pagehide', (event) => this.leave(event.persisted))
    addEventListener('pageshow', (event) => event.persisted && this.comeBack())
    addEventListener('online', () => this.ask())
    addEventListener('focus', () => this.hasEnded && this.ask())
    document.addEventListener('visibilitychange', () => this.turn())
    document.addEventListener('freeze', () => this.stop()) // what sleeps leads nobody
    document.addEventListener('resume', () => this.wake())
    this.takePart()
  }

  takePart() {
    if (this.stopping && !this.stopping.signal.aborted) return
    this.stopping = new AbortController()
    this.channel ??= this.listen()
    if (navigator.locks) this.queue(this.stopping.signal)
    else if (isVisible()) this.lead()
  }

  listen() {
    if (!globalThis.BroadcastChannel) return null
    const channel = new BroadcastChannel(NAME)
    channel.onmessage = () => this.ask()
    return channel
  }

  // Lead from when no other tab does; until the signal.
  queue(signal) {
    const held = () =>
      new Promise((release) => {
        signal.addEventListener('abort', release)
        this.lead()
      })
    // Refused in a sandbox: then this tab leads itself.
    navigator.locks.request(NAME, { signal }, held).catch(() => signal.aborted || this.lead())
  }

  async lead() {
    this.leads = true
    this.failures = 0
    await this.current // it may have been told already that there is nothing to lead
    if (!this.leads) return
    if (this.streams) this.stream()
    else this.poll(Infinity)
  }

  stop() {
    this.leads = false
    clearTimeout(this.timer)
    this.source?.close()
    this.stopping.abort()
  }

  turn() {
    if (isVisible()) this.ask()
    if (navigator.locks || this.hasEnded) return
    if (!isVisible()) this.stop()
    else if (!this.leads) this.takePart()
  }

  // Hold nothing: a page with a lock or a connection is not kept for the way back.
  leave(isKept) {
    this.stop()
    this.channel?.close()
    this.channel = null
    if (isKept) this.notice.cover()
  }

  wake() {
    if (this.hasEnded) return
    this.takePart()
    this.ask()
  }

  async comeBack() {
    this.leavingUntil = 0
    this.takePart()
    if ((await this.ask()) !== 'ended') this.notice.hide()
  }

  stream() {
    this.source?.close()
    const source = (this.source = new EventSource(this.address))
    this.later(() => this.fail(), TIMEOUT) // what holds back a stream answers nothing at all
    source.onopen = () => {
      clearTimeout(this.timer)
      this.failures = 0
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.fail()
    }
    source.addEventListener('ended', () => this.hear())
  }

  async hear() {
    this.source.close()
    this.channel?.postMessage('ask')
    if ((await this.ask()) !== 'ended') this.later(() => this.stream(), spread(1_000))
  }

  async fail() {
    this.source.close()
    this.failures += 1
    if ((await this.askForAll()) === 'ended') return
    if (this.failures < FAILURES) this.later(() => this.stream(), spread(2_000))
    else this.poll(performance.now() + REST)
  }

  poll(until) {
    this.later(async () => {
      if ((await this.askForAll()) === 'ended') return
      if (performance.now() < until) this.poll(until)
      else this.later(() => this.lead(), 0)
    }, POLL)
  }

  // Do it then, unless this tab does not lead any more, or something else is to be done instead.
  later(action, milliseconds) {
    clearTimeout(this.timer)
    if (this.leads) this.timer = setTimeout(action, milliseconds)
  }

  async askForAll() {
    const answer = await this.ask()
    if (answer === 'ended') this.channel?.postMessage('ask')
    return answer
  }

  // 'live' or 'ended', or 'unknown'. What is being asked already may have been answered before something ended.
  ask() {
    if (this.next) return this.next
    if (!this.current) return (this.current = this.judge().finally(() => (this.current = null)))
    this.next = this.current.then(() => {
      this.next = null
      return this.ask()
    })
    return this.next
  }

  async judge() {
    let answer = await this.requestUnlessLeaving()
    if (CONTINUED.has(answer?.reason)) {
      await wait(SECOND_LOOK)
      answer = await this.requestUnlessLeaving()
    }
    if (!answer) return 'unknown'
    return answer.code ? this.end(answer) : this.live()
  }

  end(answer) {
    this.hasEnded = true
    this.stop()
    this.notice.show(answer)
    return 'ended'
  }

  live() {
    if (this.hasEnded) {
      this.hasEnded = false
      this.notice.hide()
      this.takePart()
    }
    return 'live'
  }

  // A page that is going need not know; and a refusal in its last moment would stand in the console.
  async requestUnlessLeaving() {
    let answer
    do {
      const left = this.leavingUntil - performance.now()
      if (left > 0) await wait(left) // no timer for nothing: a hidden tab's are late
      answer = await this.request()
    } while (answer?.code && performance.now() < this.leavingUntil)
    return answer
  }

  // {} if it is live, the answer if it is not; null where that is not known: no network, an outage, a login page.
  async request() {
    try {
      const response = await fetch(this.address, {
        headers: { Accept: 'application/json' },
        cache: 'no-store',
        redirect: 'error',
        signal: AbortSignal.timeout?.(TIMEOUT),
      })
      if (response.status === 204) return {}
      const body = response.status === 401 ? await response.json() : {}
      return body.code && body.detail ? body : null
    } catch {
      return null
    }
  }
}

const isVisible = () => document.visibilityState === 'visible'

const dialog = document.getElementById('authx-live')
if (dialog) new Tab(dialog).begin()
