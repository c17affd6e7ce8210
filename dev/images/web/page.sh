#!/bin/sh
printf 'Content-Type: text/plain; charset=utf-8\r\n\r\n%s\n' "${MESSAGE:-Hello from Felucca}"
