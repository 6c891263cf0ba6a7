// The two ways to look into the page.

/** The first element of a selector. */
export const $ = (selector, root = document) => root.querySelector(selector);

/** Every element of a selector, as an array. */
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
