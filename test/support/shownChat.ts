/** What Open WebUI's chat page shows at this moment. The selectors hold for 0.6.15 and 0.12.4. */

export interface ShownMessage {
  by: 'person' | 'model';
  /** The name above a reply; blank for a person's message. */
  author: string;
  /** Everything that can be read in it, errors and folded reasoning's headline too; white space in one blank. */
  text: string;
  /** Which of several branches is shown, such as `2/2`; blank where there is only one. */
  branch: string;
}

export interface ShownChat {
  messages: ShownMessage[];
  /** What tells a person that the model is still writing: a stop button, anything that moves for ever. */
  atWork: string[];
  /** Something lies over the page: a dialog. */
  isCovered: boolean;
}

interface PageElement {
  readonly innerText: string;
  readonly classList: { contains(name: string): boolean };
  closest(selector: string): PageElement | null;
  querySelector(selector: string): PageElement | null;
  getAttribute(name: string): string | null;
  checkVisibility(): boolean;
  getBoundingClientRect(): { x: number; y: number; width: number; height: number };
}
declare const document: {
  querySelector(selector: string): PageElement | null;
  elementFromPoint(x: number, y: number): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
  getAnimations(): Array<{
    effect: { target: PageElement | null; getComputedTiming(): { iterations?: number } } | null;
  }>;
};

/**
 * Runs in the page, so it uses nothing from outside, and names no function inside (some compilers call helpers of their
 * own for that).
 * @param place where to look for something that moves, a CSS selector
 */
export function lookAtChat(place: string): ShownChat {
  const atWork: string[] = [];
  const buttons = [...document.querySelectorAll('form button')].filter((button) => button.checkVisibility());
  // The last button in the input box has no label on 0.6.15 when it stops the model; at rest it starts a call.
  const last = buttons.at(-1)?.getAttribute('aria-label') ?? 'Stop';
  if (buttons.length > 0 && last === 'Stop') atWork.push('a stop button');
  for (const { effect } of document.getAnimations()) {
    if (effect?.getComputedTiming().iterations !== Infinity || !effect.target?.checkVisibility()) continue;
    if (effect.target.closest(place)) atWork.push('something that moves');
  }
  const messages = [...document.querySelectorAll('#messages-container [id^="message-"]')].map((message) => {
    const isPerson = message.classList.contains('user-message');
    const body = message.querySelector(isPerson ? '.chat-user .rounded-3xl' : '[id="response-content-container"]');
    return {
      by: isPerson ? ('person' as const) : ('model' as const),
      author: isPerson ? '' : (message.querySelector('span.line-clamp-1')?.innerText ?? ''),
      text: (body?.innerText ?? '').replace(/\s+/g, ' ').trim(),
      branch: message.innerText.split('\n').find((line) => /^\d+\/\d+$/.test(line)) ?? '',
    };
  });
  const box = document.querySelector('form')?.getBoundingClientRect();
  const uppermost = box && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return { messages, atWork, isCovered: !uppermost?.closest('form') };
}
